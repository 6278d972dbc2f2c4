from __future__ import annotations

from mailstack.sieve import Extension, Registry


def test_the_standard_registry_is_fresh_each_time() -> None:
    one = Registry.standard()
    one.register(Extension("x"))
    assert "x" in one and "x" not in Registry.standard()


def test_capabilities_are_what_a_script_may_require() -> None:
    capabilities = Registry.standard().capabilities()
    assert capabilities == sorted(set(capabilities)) and "" not in capabilities
    assert {"fileinto", "vacation", "regex", "comparator-i;octet", "comparator-i;ascii-numeric"} <= set(
        capabilities
    )


def test_an_empty_registry_knows_nothing_not_even_require() -> None:
    from mailstack.sieve import compile  # noqa: A004

    result = compile('require "fileinto"; keep;', registry=Registry())
    assert len(result.errors) == 2


def test_the_version_grows_with_each_change() -> None:
    registry = Registry.standard()
    before = registry.version
    registry.register(Extension("x"))
    assert registry.version > before and [extension.name for extension in registry][-1] == "x"
