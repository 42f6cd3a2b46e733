"""Contract: conf/README.md and results/README.md say what the code and the files say."""

from core.parameters import PARAMETERS
from sweep.config import CONF, SETTINGS
from sweep.schema import schema
from tests.sweep.handbook import columns, reference


def test_the_configuration_reference_is_up_to_date() -> None:
    assert (CONF / "README.md").read_text() == reference(), "run: make reference"


def test_the_column_table_is_up_to_date() -> None:
    assert (CONF.parent / "results" / "README.md").read_text() == columns(), "run: make reference"
    assert [name for name in schema().names if f"`{name}`" not in columns()] == []


def test_the_reference_has_every_leaf_setting_and_option() -> None:
    page = reference()
    named = [
        *(p.name for p in PARAMETERS),
        *SETTINGS,
        *(path.stem for path in CONF.glob("*/*.yaml")),
    ]
    assert [name for name in named if f"`{name}`" not in page] == []
