"""What is written is what is read, whatever it is."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from machine_identity import keyring
from machine_identity.keyring import Keyring, KeyringError
from tests.properties.strategies import keyrings

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(keyrings())
def test_a_keyring_is_read_back_as_it_was_written(each: Keyring) -> None:
    body = keyring.serialise(each)
    assert keyring.parse(body) == each
    assert keyring.serialise(keyring.parse(body)) == body


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_no_keyring_is_refused_as_one(body: bytes) -> None:
    try:
        keyring.parse(body)
    except KeyringError:
        return
    raise AssertionError(body)


@given(keyrings(), st.data())
def test_a_keyring_with_one_member_replaced_is_read_or_refused_and_nothing_else(
    each: Keyring, data: st.DataObject
) -> None:
    members = json.loads(keyring.serialise(each))
    record = data.draw(st.sampled_from([members, *members["keys"]]))
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(anything)
    try:
        read = keyring.parse(json.dumps(members).encode())
    except KeyringError:
        return
    assert isinstance(read, Keyring)
