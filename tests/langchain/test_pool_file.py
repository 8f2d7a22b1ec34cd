"""Pool files: what they open, and what they say is wrong."""

import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.local import ChatLocal
from langchain_pickllm.pool_file import PoolFile, load_pool
from pickllm import ConfigError, PickLLMError
from tests.tiny import ANSWER, QUESTION, tiny_folder

KEY = "sk-very-secret-0123456789"
OPENAI = 'kind = "openai"\nmodel = "gpt-4o-mini"\n'


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a pool file and opens it."""

    def write(text: str) -> PoolFile:
        path = tmp_path / "pool.toml"
        path.write_text(text, encoding="utf-8")
        return load_pool(path)

    return write


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key, under a name of its own and under the client's."""
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def revealed(model: object) -> str:
    """The key that a model holds."""
    assert isinstance(model, ChatOpenAI)
    assert isinstance(model.openai_api_key, SecretStr)
    return model.openai_api_key.get_secret_value()


def test_a_local_model_is_loaded(written: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """From its folder, with the arguments of the loading and of the chat model."""
    folder = tiny_folder(tmp_path_factory)

    pool = written(
        f"[arms.llama]\nkind = 'local'\nmodel = '{folder}'\nload = {{ dtype = 'float32' }}\n"
        "chat = { max_tokens = 2, settings = { top_k = 5 } }\nusd_per_hour = 1.2\n"
    )

    llama = pool.models["llama"]
    assert isinstance(llama, ChatLocal)
    assert (2, {"top_k": 5}) == (llama.max_tokens, llama.settings)
    assert 1.2 == pool.arms["llama"].usd_per_hour
    model = RoutedChatModel(models=pool.models, arms=pool.arms)
    assert ANSWER[:2] == model.invoke(QUESTION).content


def test_a_client_of_openai_is_opened(written: Any) -> None:
    """With its key from the environment, and the arguments of the chat model."""
    pool = written(f'[arms."gpt-4o-mini"]\n{OPENAI}api_key_env = "MY_KEY"\nchat = {{ seed = 3 }}')

    chat = pool.models["gpt-4o-mini"]
    assert isinstance(chat, ChatOpenAI)
    assert ("gpt-4o-mini", 3) == (chat.model_name, chat.seed)
    assert KEY == revealed(chat)


def test_prices_of_an_api_come_from_the_price_table(written: Any) -> None:
    """Where the file says none; and from the file where it does."""
    pool = written(
        f"[arms.table]\n{OPENAI}[arms.stated]\n{OPENAI}"
        "usd_per_mtok_in = 1.0\nusd_per_mtok_out = 2\n[arms.free]\n"
        f'{OPENAI}base_url = "http://127.0.0.1:9/v1"\n'
    )

    model = RoutedChatModel(models=pool.models, arms=pool.arms)

    assert ("free",) == model.router.pool.unpriced
    assert "gpt-4o-mini" == model.router.pool["table"].model
    assert 2.0 == model.router.pool["stated"].usd_per_mtok_out


def test_a_server_of_the_user_s_own_gets_no_key_that_is_not_named_for_it(written: Any) -> None:
    """That of the environment is another's."""
    url = 'base_url = "http://127.0.0.1:9/v1"\n'

    pool = written(f'[arms.a]\n{OPENAI}{url}[arms.b]\n{OPENAI}{url}api_key_env = "MY_KEY"')

    assert "none" == revealed(pool.models["a"])
    assert KEY == revealed(pool.models["b"])
    assert isinstance(pool.models["a"], ChatOpenAI)
    assert "http://127.0.0.1:9/v1" == pool.models["a"].openai_api_base


def test_what_init_chat_model_opens_may_be_named(written: Any) -> None:
    """The provider stands before the model, and the key is named as for any other."""
    pool = written(
        '[arms.x]\nkind = "init"\nmodel = "openai:gpt-4o-mini"\nchat = { temperature = 0.5 }\n'
        'api_key_env = "MY_KEY"'
    )

    assert isinstance(pool.models["x"], ChatOpenAI)
    assert 0.5 == pool.models["x"].temperature
    assert KEY == revealed(pool.models["x"])


def test_everything_else_of_an_arm_may_be_stated(written: Any) -> None:
    """Limits and capabilities are those of `pickllm.Arm`."""
    pool = written(
        f"[arms.a]\n{OPENAI}timeout_s = 2.5\ncontext_tokens = 8000\ncan = {{ images = false }}\n"
    )

    arm = pool.arms["a"]
    assert (2.5, 8000, {"images": False}) == (arm.timeout_s, arm.context_tokens, dict(arm.can))


@pytest.mark.parametrize("name", ["a b", "größer", 'q"uo"te', "a.b", "[x]", "<b>", "模型"])
def test_arms_may_be_called_anything(written: Any, name: str) -> None:
    """A quoted key of TOML is any string."""
    quoted = name.replace('"', '\\"')

    pool = written(f'[arms."{quoted}"]\n{OPENAI}')

    assert [name] == list(pool.models)
    assert [name] == list(pool.arms)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"has no \[arms.NAME\] table: describe at least one model"),
        ("arms = 3", r"has no \[arms.NAME\] table"),
        ("[arms]", r"has no \[arms.NAME\] table"),
        ("[arms]\na = 1", "arms.a must be a table"),
        ("[arms.a\nkind", r"cannot read the pool file .*pool.toml: .*line 1"),
        (
            "[arms.a]\nmodel = 'x'",
            r"arm 'a' names no kind; there are \['init', 'local', 'openai'\]",
        ),
        ("[arms.a]\nkind = 'gpt'\nmodel = 'x'", r"arm 'a' has kind 'gpt'; there are"),
        ("[arms.a]\nkind = ['local']\nmodel = 'x'", r"arm 'a' has kind \['local'\]"),
        ("[arms.a]\nkind = 'local'", "arm 'a' names no model"),
        ("[arms.a]\nkind = 'local'\nmodel = 7", "arm 'a' names no model"),
        (
            f"[arms.a]\n{OPENAI}usd_per_mtoken_in = 1",
            r"arm 'a' of kind 'openai' has unknown keys \['usd_per_mtoken_in'\]; it knows \['api",
        ),
        (f"[arms.a]\n{OPENAI}load = {{}}", r"'openai' has unknown keys \['load'\]"),
        (
            "[arms.a]\nkind = 'local'\nmodel = 'x'\nbase_url = 'http://x'\napi_key_env = 'MY_KEY'",
            r"'local' has unknown keys \['api_key_env', 'base_url'\]",
        ),
        (f"[arms.a]\n{OPENAI}chat = 3", "arm 'a': chat must be a table"),
        (f"[arms.a]\n{OPENAI}can = ['tools']", "arm 'a': can must be a table"),
        (f"[arms.a]\n{OPENAI}usd_per_hour = '1'", "usd_per_hour must be a number, not '1'"),
        (f"[arms.a]\n{OPENAI}usd_per_hour = -1", "usd_per_hour is -1; it must not be negative"),
        (f"[arms.a]\n{OPENAI}usd_per_mtok_in = 1", "state both usd_per_mtok_in and"),
        (f"[arms.a]\n{OPENAI}timeout_s = 0", "must be above zero"),
        (f"[arms.a]\n{OPENAI}chat = {{ model = 'y' }}", "arm 'a' cannot be opened: .*model"),
        (f"[arms.a]\n{OPENAI}chat = {{ max_tokens = 'y' }}", "cannot be opened: max_"),
        (f"[arms.a]\n{OPENAI}chat = {{ api_key = '{KEY}' }}", "name it as api_key_env"),
        (f"[arms.a]\n{OPENAI}chat = {{ openai_api_key = '{KEY}' }}", "name it as api_key_env"),
        (
            "[arms.a]\nkind = 'local'\nmodel = 'x'\nchat = { top_p = 0.5 }",
            r"arm 'a': ChatLocal knows no \['top_p'\]",
        ),
        ("[arms.a]\nkind = 'init'\nmodel = 'nobody:x'", "arm 'a' cannot be opened"),
    ],
)
def test_what_cannot_be_is_told(written: Any, text: str, words: str) -> None:
    """The arm and the key that are wrong are named, and no key's value is."""
    with pytest.raises(ConfigError, match=words) as caught:
        written(text)

    assert KEY not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(ConfigError, match=r"there is no pool file .*none.toml"):
        load_pool(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """A folder is none, nor is a picture."""
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff\xfe")

    for path in (tmp_path, tmp_path / "picture.toml"):
        with pytest.raises(ConfigError, match="cannot read the pool file"):
            load_pool(str(path))


def test_a_folder_without_a_model_is_told(written: Any, tmp_path: Path) -> None:
    """With the arm that names it."""
    with pytest.raises(ConfigError, match=r"arm 'a': cannot load '.*none'"):
        written(f"[arms.a]\nkind = 'local'\nmodel = '{tmp_path}/none'")


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("kind", ["openai", "init"])
def test_a_key_that_is_not_in_the_environment_is_told(
    written: Any, monkeypatch: pytest.MonkeyPatch, kind: str, value: str | None
) -> None:
    """By the name of its variable."""
    monkeypatch.delenv("MY_KEY") if value is None else monkeypatch.setenv("MY_KEY", value)

    with pytest.raises(ConfigError, match="arm 'a': the environment has no MY_KEY"):
        written(f"[arms.a]\nkind = '{kind}'\nmodel = 'openai:x'\napi_key_env = 'MY_KEY'")


def test_a_client_without_any_key_is_told(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the client's words, with the arm before them."""
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(ConfigError, match=r"arm 'a' cannot be opened: .*OPENAI_API_KEY"):
        written(f"[arms.a]\n{OPENAI}")


def test_no_key_is_ever_shown(written: Any) -> None:
    """Not in a repr of the pool or of the router, and not in an error of the client's making."""
    named = f'{OPENAI}api_key_env = "MY_KEY"\n'
    pool = written(f"[arms.a]\n{named}")
    model = RoutedChatModel(models=pool.models, arms=pool.arms)

    with pytest.raises(ConfigError, match="arm 'a' cannot be opened") as caught:
        written(f"[arms.a]\n{named}chat = {{ n = 2, streaming = true }}")

    shown = [repr(pool), str(pool.models), repr(model), repr(model.router), repr(caught.value)]
    assert [] == [words for words in shown if KEY in words]
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("missing", "kind", "words"),
    [
        ("langchain_openai", "openai", r"pip install 'pickllm\[demo\]'"),
        ("langchain.chat_models", "init", r"pip install 'pickllm\[agents\]'"),
        ("transformers", "local", r"pip install 'pickllm\[local\]'"),
    ],
)
def test_what_is_not_installed_is_named(
    written: Any, monkeypatch: pytest.MonkeyPatch, missing: str, kind: str, words: str
) -> None:
    """Each kind of arm says what it needs."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(PickLLMError, match=words):
        written(f"[arms.a]\nkind = '{kind}'\nmodel = 'openai:x'")
