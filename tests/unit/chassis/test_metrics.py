"""The metrics that every program has, and how a background program serves them."""

import os
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from chassis.auth.jwks import JwksClient
from chassis.errors import Misconfigured, Unavailable
from chassis.heartbeat import LAST_BEAT, Heartbeat
from chassis.misconfigurations import Misconfigurations
from chassis.telemetry import metrics, processes
from notification_service.config import ConsumerSettings
from tests.at_once import at_once
from tests.counted import counted, samples, value
from tests.local_server import serving

SETTINGS: dict[str, Any] = {"environment": "development", "mongo_url": "mongodb://m/n", "rabbitmq_url": "amqp://r/"}


def consumer(**settings: Any) -> ConsumerSettings:
    return ConsumerSettings(**SETTINGS | settings)


# --- Families ---------------------------------------------------------------------------------------------------------


def test_known_labels_are_shown_with_0_and_others_when_they_occur() -> None:
    words = metrics.ByLabel(metrics.counter("test_words_total", "Words.", ["kind"]), "short", "long")
    assert {name for name in samples() if name.startswith("test_words")} == {
        "test_words_total short",
        "test_words_total long",
    }
    assert (value("test_words_total short"), value("test_words_total long")) == (0, 0)
    words["short"].inc()
    words["odd"].inc(2)
    assert [value(f"test_words_total {kind}") for kind in ("short", "long", "odd")] == [1, 0, 2]


def test_several_labels_make_one_key() -> None:
    made = metrics.ByLabel(metrics.counter("test_pairs_total", "Pairs.", ["one", "other"]), ("a", "b"))
    made["a", "b"].inc()
    made["a", "c"].inc()
    assert (value("test_pairs_total a b"), value("test_pairs_total a c")) == (1, 1)


def test_threads_that_count_at_once_lose_nothing() -> None:
    counts = metrics.ByLabel(metrics.counter("test_races_total", "Races.", ["kind"]))

    def count(_number: int) -> None:
        for _ in range(1000):
            counts["any"].inc()

    at_once(8, count)
    assert value("test_races_total any") == 8000


def test_no_series_tells_when_a_metric_was_made() -> None:
    assert not [name for name in samples() if name.split()[0].endswith("_created")]


def test_a_pool_shows_its_places() -> None:
    pool = metrics.Pool("test", 3)
    with pool.place(), pool.place():
        assert value("shop_pool_busy test") == 2
    assert (value("shop_pool_busy test"), value("shop_pool_size test")) == (0, 3)
    with pytest.raises(KeyError), pool.place():
        raise KeyError
    assert value("shop_pool_busy test") == 0


# --- Misconfigurations, keys, heartbeat -------------------------------------------------------------------------------


def test_misconfigurations_are_counted_while_they_last() -> None:
    present, shown = Misconfigurations(), []
    for name, reason in (("a", "no right"), ("a", "another reason"), ("b", "no right")):
        present.add(name, reason)
        shown.append(value("shop_misconfigurations"))
    for name in ("a", "a", "unknown", "b"):
        present.remove(name)
        shown.append(value("shop_misconfigurations"))
    assert shown == [1, 1, 2, 1, 1, 1, 0]


def test_an_outage_neither_adds_nor_removes_a_misconfiguration() -> None:
    present = Misconfigurations()
    for error, expected in ((Unavailable, 0), (Misconfigured, 1), (Unavailable, 1), (None, 0)):
        with suppress(Unavailable), present.watch("a server"):
            if error:
                raise error("no")
        assert value("shop_misconfigurations") == expected


@pytest.mark.parametrize(
    ("status", "body", "outcome"), [(200, {"keys": []}, "fetched"), (200, {}, "failed"), (500, {}, "failed")]
)
def test_a_fetch_of_keys_counts_by_its_outcome(status: int, body: Any, outcome: str) -> None:
    with serving(lambda _asked: (status, body)) as users, counted() as grown, suppress(Unavailable):
        JwksClient(users.url).check()
    assert grown == {f"shop_jwks_fetches_total {outcome}": 1}


def test_a_heartbeat_has_its_time_also_without_a_file_and_none_while_it_is_refused(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "heartbeat")):
        LAST_BEAT.set(0)
        heartbeat = Heartbeat(path)
        heartbeat.misconfigurations.add("the database", "no right")
        heartbeat.mark_healthy()
        assert value("shop_heartbeat_timestamp_seconds") == 0
        heartbeat.misconfigurations.remove("the database")
        before = time.time()
        heartbeat.mark_healthy()
        assert before <= value("shop_heartbeat_timestamp_seconds") <= time.time()
        assert (tmp_path / "heartbeat").exists() is bool(path)


# --- The processes ----------------------------------------------------------------------------------------------------


def test_a_process_that_is_gone_uses_nothing() -> None:
    seconds, size = processes.usage([os.getpid()])
    assert (seconds > 0, size > 1_000_000) == (True, True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert processes.usage([gone.pid]) == (0, 0)


def test_the_time_of_a_child_that_ends_is_never_lost_and_never_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ends at each point between the reads."""
    child, parent = 11, 10
    alive = {child: ["0"] * 11 + ["5", "0", "0", "0"] + ["0"] * 7, parent: ["0"] * 11 + ["3"] + ["0"] * 10}
    for ends_before_read in range(6):
        stats, reads = dict(alive), 0

        def read(pid: int, ends_before_read: int = ends_before_read, stats: Any = stats) -> list[str]:
            nonlocal reads
            if reads == ends_before_read:
                stats[child] = []
                stats[parent] = ["0"] * 11 + ["3", "0", "5"] + ["0"] * 8
            reads += 1
            return list(stats[pid])

        monkeypatch.setattr(processes, "_stat", read)
        assert processes.usage([child, parent])[0] == 8 / os.sysconf("SC_CLK_TCK")


def test_the_start_of_this_process_is_shown() -> None:
    started = psutil.Process().create_time()
    assert value("process_start_time_seconds") == pytest.approx(started, abs=1.1)


def test_a_process_that_is_gone_has_not_started_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 0 would look like a restart."""
    monkeypatch.setattr(processes, "_stat", lambda _pid: [])
    assert "process_start_time_seconds" not in samples()


# --- The files of several processes -----------------------------------------------------------------------------------


def of_files(folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return registry


def test_a_file_that_is_being_made_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "counter_1.db"
    made.touch()
    monkeypatch.setattr(metrics, "_registry", lambda: of_files(tmp_path))
    monkeypatch.setattr(time, "sleep", lambda _seconds: MmapedDict(str(made)).close())  # type: ignore[no-untyped-call]
    assert metrics.exposition() == b""


def test_a_file_that_stays_empty_is_an_error_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter_1.db").touch()
    slept: list[float] = []
    monkeypatch.setattr(metrics, "_registry", lambda: of_files(tmp_path))
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(struct.error):
        metrics.exposition()
    assert 0.005 <= sum(slept) <= 0.1
