"""Functions of templates: what would cost too much is refused."""

import pytest

from model_watchdog.promql.template_functions import TemplateError, _print_formatted


@pytest.mark.parametrize("form", ["%100000000d", "%.999999999f"])
def test_a_width_that_would_fill_the_memory_is_refused(form: str) -> None:
    with pytest.raises(TemplateError, match="at most 1000"):
        _print_formatted(form, 5)
