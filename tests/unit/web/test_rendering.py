"""Answers as JSON."""

import json
from typing import Any

import pytest
from flask import Flask

from apb_broker.web import rendering


@pytest.mark.parametrize("value", [{"z": 1, "a": "é\u2028", "none": None}, {}, [1.5, True], {"half": "\ud800"}, "text"])
def test_answer_is_json_in_the_order_of_its_fields(value: Any) -> None:
    """Whatever is in it, half a character too, and fields stay in their order."""
    app = Flask("test")
    app.json = rendering.Json(app)
    with app.app_context():
        answer = app.json.response(value)
    assert answer.content_type == "application/json"
    assert repr(json.loads(answer.get_data())) == repr(value)
