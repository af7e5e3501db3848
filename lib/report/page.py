"""The page itself: one file, with the code that draws and sorts inside, which needs no network."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

import pandas as pd
import vl_convert
from itables import to_html_datatable
from itables.javascript import generate_init_offline_itables_html
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lib.report.charts import Chart
from lib.report.markup import PAGE


class Table(NamedTuple):
    """name: of its place in the page. words: what it shows."""

    name: str
    title: str
    words: str
    rows: pd.DataFrame


def page(
    title: str, facts: Mapping[str, str], tables: Sequence[Table], charts: Sequence[Chart], links: Mapping[str, str]
) -> str:
    """HTML. facts: what is known of the run. links: texts by address, relative to the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(PAGE).render(
        title=title,
        facts=facts,
        links=links,
        tables=[(table, Markup(_sortable(table))) for table in tables],
        charts=charts,
        specs=Markup(_for_a_script({chart.name: chart.spec for chart in charts})),
        drawing=Markup(vl_convert.javascript_bundle().replace("</script", "<\\/script")),  # type: ignore[call-arg]
        sorting=Markup(generate_init_offline_itables_html(str(files("itables") / "html" / "dt_bundle.js"))),
    )


def _sortable(table: Table) -> str:
    return to_html_datatable(
        table.rows,
        connected=False,
        table_id=table.name,
        classes="display compact nowrap",
        display_logo_when_loading=False,
        scrollX=True,
        paging=False,
        showIndex=False,
        maxBytes=0,
        text_in_header_can_be_selected=False,  # a click on it sorts
        layout={"topStart": "search", "topEnd": None, "bottomStart": "info", "bottomEnd": None},
    )


def _for_a_script(value: object) -> str:
    """JSON that may stand inside of a script: no text in it can end the element."""
    return json.dumps(value, sort_keys=True).replace("<", "\\u003c")
