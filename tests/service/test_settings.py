import pytest

from model.errors import BadInputError
from service.settings import load_settings


def write(home, text):
    (home / "slowwave.toml").write_text(text)
    return home


def test_every_setting_has_a_default():
    assert load_settings().port == 8000


def test_the_workspace_file_wins_over_the_defaults(tmp_path):
    assert load_settings(home=write(tmp_path, "[service]\nport = 9001")).port == 9001


def test_the_environment_wins_over_the_workspace_file(tmp_path, monkeypatch):
    write(tmp_path, "[service]\nport = 9001\nworkers = 2")
    monkeypatch.setenv("SLOWWAVE_HOME", str(tmp_path))
    monkeypatch.setenv("SLOWWAVE_PORT", "9002")
    settings = load_settings()
    assert (settings.home, settings.port, settings.workers) == (tmp_path, 9002, 2)


def test_what_is_given_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("SLOWWAVE_PORT", "9002")
    assert load_settings(port=9003).port == 9003


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[service]\nprot = 1", "prot"),
        ("[service]\nport = 70000", "port"),
        ("[service]\nworkers = 'many'", "workers"),
        ("service = 3", "service must be a table"),
        ("[service", "not valid TOML"),
    ],
)
def test_a_wrong_workspace_file_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(BadInputError, match=message):
        load_settings(home=write(tmp_path, text))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org"])  # noqa: S104
def test_auth_off_is_refused_where_others_can_reach(host):
    with pytest.raises(BadInputError, match="can be reached by others"):
        load_settings(host=host, auth="off")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_auth_off_is_allowed_on_this_machine(host):
    assert load_settings(host=host, auth="off").auth == "off"


def test_auth_off_for_others_must_be_accepted_in_so_many_words():
    assert load_settings(host="10.0.0.7", auth="off", allow_open="yes").auth == "off"


def test_auth_is_on_unless_switched_off():
    assert load_settings(host="10.0.0.7").auth == "on"
