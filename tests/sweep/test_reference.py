"""Contract: conf/README.md says what the code and the files say."""

from core.parameters import PARAMETERS
from sweep.config import CONF, SETTINGS
from sweep.reference import reference


def test_the_configuration_reference_is_up_to_date() -> None:
    assert (CONF / "README.md").read_text() == reference(), "run: make reference"


def test_the_reference_has_every_leaf_setting_and_option() -> None:
    page = reference()
    named = [
        *(p.name for p in PARAMETERS),
        *SETTINGS,
        *(path.stem for path in CONF.glob("*/*.yaml")),
    ]
    assert [name for name in named if f"`{name}`" not in page] == []
