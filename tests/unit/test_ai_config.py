"""The language model that an operator names: in the service's variables and in the stack's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.config import ConfigError, load
from services.ai.config import Config
from stack import settings
from stack.errors import StackError

REQUIRED = {
    "PARLEY_LISTEN": "127.0.0.1:1",
    "PARLEY_METRICS_LISTEN": "127.0.0.1:2",
    "PARLEY_MESH": "127.0.0.1:3",
    "PARLEY_SERVICE_KEY": "/key",
    "PARLEY_TRUST": "/trust",
    "PARLEY_MODELS": "/models",
}
NAMED = {"PARLEY_LLM_URL": "http://127.0.0.1:11434/v1", "PARLEY_LLM_MODEL": "a-model"}


def test_without_variables_there_is_no_language_model() -> None:
    assert load(Config, REQUIRED).llm_url == ""


def test_the_key_is_not_in_what_the_configuration_looks_like() -> None:
    config = load(Config, {**REQUIRED, **NAMED, "PARLEY_LLM_KEY": "k3y"})
    assert config.llm_key == "k3y"
    assert "k3y" not in repr(config)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"PARLEY_LLM_URL": NAMED["PARLEY_LLM_URL"]}, "need each other"),
        ({"PARLEY_LLM_MODEL": "a-model"}, "need each other"),
        ({**NAMED, "PARLEY_LLM_URL": "llm.example.org"}, "is no http URL"),
    ],
)
def test_half_a_language_model_is_refused(values: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(Config, {**REQUIRED, **values})


def test_the_stacks_settings_name_it_too(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text('[ai]\nllm_url = "http://127.0.0.1/v1"\nllm_model = "m"\nllm_key = "k3y"\n')
    ai = settings.load(path).ai
    assert (ai.llm_url, ai.llm_model, ai.llm_key) == ("http://127.0.0.1/v1", "m", "k3y")
    assert "k3y" not in repr(ai)


@pytest.mark.parametrize(
    "text", ['llm_url = "http://127.0.0.1/v1"', 'llm_model = "m"\nllm_url = "127.0.0.1"']
)
def test_half_of_it_is_refused_there(tmp_path: Path, text: str) -> None:
    path = tmp_path / "parley.toml"
    path.write_text(f"[ai]\n{text}\n")
    with pytest.raises(StackError, match=r"\[ai\]"):
        settings.load(path)
