"""Videos: jobs that are created, polled, downloaded, listed, remixed and deleted.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service. A job is queued, then
in progress, then completed, a step each time that it is retrieved; a prompt with the word "fail" fails.
"""

from __future__ import annotations

from openai.types import Video, VideoDeleteResponse

from integration_tests.fakes.openai_api.known_models import require_model
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_bytes, as_json
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_form, check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store
from integration_tests.support.media import PNG

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40
_CONTENT = {"video": ("video/mp4", MP4), "thumbnail": ("image/webp", PNG), "spritesheet": ("image/jpeg", PNG)}
_POLL = {"openai-poll-after-ms": "10"}


def create(store: Store, received: Received) -> Reply:
    body = {"model": "sora-2", "seconds": "4", "size": "720x1280"}
    body |= check_form("video_create_params:VideoCreateParams", received, "input_reference")
    require_model(body, "video")
    if body["model"] == "sora-2" and body["size"] not in {"720x1280", "1280x720"}:
        raise APIError(400, f"Invalid value: '{body['size']}'.", code="invalid_value", param="size")
    return _job(store, body)


def _job(store: Store, body: JSON) -> Reply:
    job: JSON = {
        "id": store.new_id("video_"),
        "object": "video",
        "created_at": CREATED,
        "status": "queued",
        "model": body["model"],
        "progress": 0,
        "prompt": body["prompt"],
        "seconds": body["seconds"],
        "size": body["size"],
        "remixed_from_video_id": body.get("remixed_from_video_id"),
        "error": None,
        "completed_at": None,
        "expires_at": None,
    }
    check_response(Video, job)
    return as_json(store.add(job), headers=_POLL)


def retrieve(store: Store, received: Received) -> Reply:
    job = store.get("video", received.path.split("/")[1])
    if job["status"] == "queued":
        job |= {"status": "in_progress", "progress": 50}
    elif job["status"] == "in_progress" and "fail" in job["prompt"]:
        job |= {"status": "failed", "error": {"code": "moderation_blocked", "message": "The request was blocked."}}
    elif job["status"] == "in_progress":
        job |= {"status": "completed", "progress": 100, "completed_at": CREATED + 60, "expires_at": CREATED + 3600}
    check_response(Video, job)
    return as_json(job, headers=_POLL)


def download(store: Store, received: Received) -> Reply:
    query = received.arguments
    check_request("video_download_content_params:VideoDownloadContentParams", query, is_json=False)
    job = store.get("video", received.path.split("/")[1])
    if job["status"] != "completed":
        raise APIError(404, "Video is not ready yet.")
    content_type, data = _CONTENT[query.get("variant", "video")]
    return as_bytes(data, content_type, chunks=4)


def remix(store: Store, received: Received) -> Reply:
    check_request("video_remix_params:VideoRemixParams", received.body)
    source = store.get("video", received.path.split("/")[1])
    if source["status"] != "completed":
        raise APIError(400, "Only completed videos can be remixed.")
    common = {name: source[name] for name in ("model", "seconds", "size")}
    return _job(store, common | {"prompt": received.body["prompt"], "remixed_from_video_id": source["id"]})


def delete(store: Store, received: Received) -> Reply:
    deleted = store.delete("video", received.path.split("/")[1], "video.deleted")
    check_response(VideoDeleteResponse, deleted)
    return as_json(deleted)


def list_(store: Store, received: Received) -> Reply:
    return as_json(store.page("video", received, "video_list_params:VideoListParams", 20))


ROUTES = {
    "POST videos": create,
    "GET videos": list_,
    "GET videos/{id}": retrieve,
    "DELETE videos/{id}": delete,
    "GET videos/{id}/content": download,
    "POST videos/{id}/remix": remix,
}
