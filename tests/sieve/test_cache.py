from __future__ import annotations

import threading

from mailstack.sieve import Extension, Limits, Registry, ScriptCache


def test_a_source_is_compiled_once() -> None:
    cache = ScriptCache(Registry.standard())
    assert cache.compile(b"keep;") is cache.compile(b"keep;")
    assert cache.compile(b"keep; ") is not cache.compile(b"keep;")
    assert cache.compile(b"keep;", path="x").script is not cache.compile(b"keep;").script


def test_mistakes_are_remembered_too() -> None:
    cache = ScriptCache(Registry.standard(), limits=Limits(max_script_octets=4))
    assert cache.compile(b"keep;") is cache.compile(b"keep;") and not cache.compile(b"keep;").ok


def test_the_cache_is_bounded() -> None:
    cache = ScriptCache(Registry.standard(), size=3)
    for n in range(10):
        cache.compile(b"keep; #%d" % n)
    assert len(cache) == 3


def test_a_changed_registry_is_noticed() -> None:
    registry = Registry.standard()
    cache = ScriptCache(registry)
    assert not cache.compile(b'require "x";').ok
    registry.register(Extension("x"))
    assert cache.compile(b'require "x";').ok


def test_threads_may_share_a_cache() -> None:
    cache = ScriptCache(Registry.standard(), size=2)
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            for n in range(150):
                assert cache.compile(b"keep; #%d" % (n % 7)).ok
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(cache) <= 3
