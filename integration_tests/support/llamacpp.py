"""llama.cpp's own HTTP server on 127.0.0.1, with a random model of half a megabyte that is generated first.

Its text is random, but its protocol, its errors, its JSON grammar and its crashes are real. It runs in its own process,
so that a test can kill it: ``python llamacpp.py '{"model": ..., "context": ...}'`` is that process.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

KEY = "sk-CANARY-llama-on-loopback"
MODEL = "random-llama"

# A turn is <|turn>role, a line break, text, <turn|>. The model calls functions by writing @[{...}, ...]@, which the
# server recognises from the template and enforces by a grammar once the first @ is there.
TEMPLATE = """\
{%- if tools %}{{- '<|turn>system\\nFunctions: ' + (tools | tojson) + '<turn|>\\n' }}{%- endif %}
{%- for message in messages %}
{{- '<|turn>' + message.role + '\\n' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}
{{- '@[' }}
{%- for call in message.tool_calls %}
{{- '{"tool_name": "' + call.function.name + '", "parameters": ' + (call.function.arguments | tojson) + '}' }}
{%- if not loop.last %}{{- ', ' }}{%- endif %}
{%- endfor %}
{{- ']@' }}
{%- endif %}
{{- '<turn|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|turn>assistant\\n' }}{%- endif %}
"""
_OPTIONS = ("context", "embedding", "slots", "jinja", "physical_batch", "keyless")
_FIRST_BYTE = 3  # the token of byte 0


# A template that refuses conversations of other forms than system, user, assistant, user ..., as many models' do.
STRICT_TEMPLATE = (
    """\
{%- for message in messages %}
{%- if message.role == 'system' and not loop.first %}
{{- raise_exception('System message must be at the beginning.') }}
{%- endif %}
{%- if not loop.first and message.role == loop.previtem.role %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- endfor %}
"""
    + TEMPLATE
)


def write_model(
    path: Path, *, width: int = 64, layers: int = 2, context: int = 16_384, template: str = TEMPLATE, unused: int = 0
) -> None:
    """Write a Llama of random weights over bytes, with a template.

    ``unused`` tokens beyond those make loading it take longer, about a second for 200,000.
    """
    import gguf
    import numpy as np

    random = np.random.default_rng(1)

    def weights(*shape: int, scale: float = 0.3) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    tokens = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256)), b"<|turn>", b"<turn|>"]
    control, byte = gguf.TokenType.CONTROL, gguf.TokenType.BYTE
    kinds = [gguf.TokenType.UNKNOWN, control, control, *[byte] * 256, control, control]
    end_of_turn = len(tokens) - 1
    tokens += [b"<unused%d>" % number for number in range(unused)]
    kinds += [gguf.TokenType.UNUSED] * unused

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 4)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(end_of_turn)
    writer.add_add_bos_token(value=False)
    writer.add_add_space_prefix(value=False)
    writer.add_chat_template(template)

    embedding, output = weights(len(tokens), width, scale=1.0), weights(len(tokens), width, scale=0.6)
    # One constant dimension makes @ likely, so that the model calls a function soon if the grammar requires it.
    embedding[:, 0] = 3.0
    output[_FIRST_BYTE + ord("@")] = np.eye(1, width, dtype=np.float32) * 8.0
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.add_tensor("output.weight", output)
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(width, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(width, width))
        for name in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(2 * width, width))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", weights(width, 2 * width))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@dataclass
class LlamaServer:
    """A running server; use as a context manager.

    Attributes:
        model: The file to serve.
        context: Tokens for the prompt and the answer together.
        embedding: Serve embeddings instead of chat.
        slots: The number of concurrent responses.
        jinja: Use the model's template; without it, the server refuses tools.
        physical_batch: Tokens of a text to embed, at most; None for the server's default of 512.
        keyless: Take requests without an API key.
        loading: Return as soon as the server accepts connections, while it still loads the model.
    """

    model: Path
    context: int = 4096
    embedding: bool = False
    slots: int = 1
    jinja: bool = True
    physical_batch: int | None = None
    keyless: bool = False
    loading: bool = False
    base_url: str = field(default="", init=False)

    def __enter__(self) -> Self:
        options = {name: getattr(self, name) for name in _OPTIONS}
        port = _free_port() if self.loading else 0
        command = [sys.executable, __file__, json.dumps({"model": str(self.model), "port": port, **options})]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.loading:
            self._wait_for_port(port)
            self.base_url = f"http://127.0.0.1:{port}/v1"
        else:
            self.base_url = self._wait_for_address() + "/v1"
        return self

    def _wait_for_address(self) -> str:
        # Loading takes a fraction of a second; a process that hangs is killed, which ends the loop below.
        watchdog = threading.Timer(60, self._process.kill)
        watchdog.start()
        try:
            for line in self._process.stdout or ():
                if line.startswith("listening on "):
                    return line.split()[-1]
        finally:
            watchdog.cancel()
        raise RuntimeError("llama.cpp's server did not start.")

    def _wait_for_port(self, port: int) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.001)
        raise RuntimeError("llama.cpp's server did not start.")

    def kill(self) -> None:
        """Kill the process like a crash: open connections are reset, new ones refused."""
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self._process.stdout:
            self._process.stdout.close()


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def main(
    *,
    model: str,
    port: int,
    context: int,
    embedding: bool,
    slots: int,
    jinja: bool,
    physical_batch: int | None,
    keyless: bool,
) -> None:
    """Serve until killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {MODEL}
    params.api_keys = [] if keyless else [KEY]
    params.n_ctx = context
    params.n_parallel = slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port = port
    params.use_jinja = jinja
    params.warmup = False
    if physical_batch:
        params.n_batch = params.n_ubatch = physical_batch
    if embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)  # returns when the model is loaded
    sys.stdout.write(f"listening on {server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
