"""Which host an instance gets, and what is said when there is no room: decided at acceptance, on a real PostgreSQL."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from apb_broker.lifecycle import errors
from apb_broker.lifecycle import placement as places
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, conftest, scenarios

FAILED = Result("failed", message="it did not work")


def provision(broker: Broker, instance_id: str, plan: str = "small", **parameters: Any) -> dict[str, Any]:
    """Accepts a box; returns its placement."""
    scenarios.provision(broker, instance_id, **boxes.ids(plan), parameters=parameters)
    return placement(broker, instance_id)


def placement(broker: Broker, instance_id: str) -> dict[str, Any]:
    """Where an instance is."""
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        assert row is not None
        return row.placement


def reserved(broker: Broker, place: str) -> float:
    """The memory that is taken of a host."""
    with broker.database.unit() as unit:
        return unit.usage([place])[place].memory_gb


def test_target_is_filled_before_the_next_one_is_used(box_broker: Broker) -> None:
    """Targets in the order of the offer; the second only when the first has no room."""
    hosts = [provision(box_broker, f"i{number}", memory=2)["host"] for number in range(3)]
    assert hosts == ["a", "a", "b"]


def test_host_with_the_most_free_memory_is_taken(box_broker: Broker) -> None:
    """Instances spread over the hosts of a target, as their memory allows."""
    assert [provision(box_broker, f"i{number}", "large", memory=1)["host"] for number in range(4)] == ["b", "c", "b", "c"]


def test_hosts_without_a_memory_limit_are_filled_evenly(make_broker: Any, tmp_path: Any) -> None:
    """Without memory_gb it is the number of instances that counts."""
    broker = make_broker(boxes.write(tmp_path).replace(", memory_gb: 4", "").replace(", memory_gb: 3", ""))
    assert [provision(broker, f"i{number}", "large", memory=8)["host"] for number in range(2)] == ["b", "c"]


def test_copies_go_to_different_hosts_while_there_are_any(box_broker: Broker) -> None:
    """Three copies on two hosts: one host has two of them; each copy has ports and memory of its own."""
    made = provision(box_broker, "i1", "triple", memory=1)
    assert sorted(copy["host"] for copy in made["copies"]) == ["b", "b", "c"]
    assert {(copy["host"], port) for copy in made["copies"] for port in copy["ports"].values()} == {
        *(("b", port) for port in range(31000, 31004)),
        *(("c", port) for port in range(31000, 31002)),
    }
    assert (reserved(box_broker, "192.0.2.2"), reserved(box_broker, "192.0.2.3")) == (2, 1)
    assert {key: made[key] for key in ("host", "address")} == {key: made["copies"][0][key] for key in ("host", "address")}


def test_no_memory_is_refused_before_acceptance_saying_what_is_missing(box_broker: Broker) -> None:
    """422 for the platform, and nothing is written."""
    for number, memory in enumerate((2, 2, 2, 2, 2)):
        provision(box_broker, f"i{number}", memory=memory)
    with pytest.raises(errors.NoCapacity) as caught:
        provision(box_broker, "more", memory=2)
    assert str(caught.value) == (
        "there is no room for this: host a of target one has 0 GB of memory free, needed: 2 GB; "
        "host b of target two has 0 GB of memory free, needed: 2 GB; host c of target two has 1 GB of memory free, needed: 2 GB"
    )
    with box_broker.database.unit() as unit:
        assert unit.instance("more") is None


def test_no_port_is_refused_saying_which(box_broker: Broker) -> None:
    """Two instances of two ports each fill a range of four."""
    for number in range(4):
        provision(box_broker, f"i{number}", "large", memory=0.5)
    for number in range(4, 9):
        provision(box_broker, f"i{number}", "large", memory=0.5)
    with pytest.raises(errors.NoCapacity, match="host b of target two has 0 ports of 31000-31003 free, needed: 2"):
        provision(box_broker, "more", "large", memory=0.5)


def test_room_comes_back_with_the_removal(box_broker: Broker) -> None:
    """Not before the host is really free of it."""
    provision(box_broker, "i1", memory=2)
    scenarios.run(box_broker)
    scenarios.deprovision(box_broker)
    assert reserved(box_broker, "192.0.2.1") == 2
    scenarios.run(box_broker)
    assert reserved(box_broker, "192.0.2.1") == 0


def test_acceptances_at_once_never_take_the_same_room(box_broker: Broker) -> None:
    """Eight want two GB of a host that has four: as if they came one after the other."""
    barrier, refused = threading.Barrier(8), []

    def accept(number: int) -> None:
        barrier.wait()
        try:
            scenarios.provision(box_broker, f"i{number}", **boxes.ids("small"), parameters={"memory": 2})
        except errors.NoCapacity:
            refused.append(number)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    with box_broker.database.engine.connect() as connection:
        rows = connection.execute(text("SELECT place, sum(memory_gb), count(*) FROM reservations GROUP BY place ORDER BY place")).all()
    assert [tuple(row) for row in rows] == [("192.0.2.1", 4, 2), ("192.0.2.2", 4, 2), ("192.0.2.3", 2, 1)]


def test_shared_server_takes_as_many_instances_as_apb_yml_says(box_broker: Broker) -> None:
    """No port and no memory is taken, the server's own address is handed out."""
    made = provision(box_broker, "i1", "part")
    assert made == {"target": "server", "host": "localhost", "address": "db.example.com"}
    with box_broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        assert (row.connection, row.secrets, row.mode) == ({"host": "db.example.com", "port": 5432}, {}, "shared")
    provision(box_broker, "i2", "part")
    with pytest.raises(errors.NoCapacity, match="target server has 2 instances, as many as it takes"):
        provision(box_broker, "i3", "part")


def test_update_reserves_what_it_needs_more_until_it_ends(box_broker: Broker) -> None:
    """Both sizes are safe while nobody knows which it will be; a failure gives the difference back."""
    provision(box_broker, "i1", memory=1)
    scenarios.run(box_broker)
    scenarios.update(box_broker, **boxes.ids("small"), parameters={"memory": 2})
    assert reserved(box_broker, "192.0.2.1") == 2
    scenarios.run(box_broker, FAILED)
    assert reserved(box_broker, "192.0.2.1") == 1
    scenarios.update(box_broker, **boxes.ids("small"), parameters={"memory": 0.5})
    assert reserved(box_broker, "192.0.2.1") == 1
    scenarios.run(box_broker)
    assert reserved(box_broker, "192.0.2.1") == 0.5


def test_update_beyond_the_host_is_refused_before_acceptance(box_broker: Broker) -> None:
    """An instance does not move: what its host lacks is said."""
    for number, memory in enumerate((2, 1.5)):
        provision(box_broker, f"i{number}", memory=memory)
        scenarios.run(box_broker)
    with pytest.raises(errors.NoCapacity, match=r"host a has 0\.5 GB of memory free, 1 GB more are needed"):
        scenarios.update(box_broker, "i0", **boxes.ids("large"), parameters={"memory": 3})


def test_instance_of_the_first_release_gives_back_what_a_failed_update_took(box_broker: Broker) -> None:
    """Its placement names no copies: it is one itself. What it has had before its first update is known then."""
    provision(box_broker, "i1", memory=1)
    scenarios.run(box_broker)
    with box_broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        row.placement = {name: value for name, value in row.placement.items() if name != "copies"}
        unit.reserve("i1", 0, "192.0.2.1", 0)
    scenarios.update(box_broker, **boxes.ids("small"), parameters={"memory": 2})
    assert reserved(box_broker, "192.0.2.1") == 2
    scenarios.run(box_broker, FAILED)
    assert reserved(box_broker, "192.0.2.1") == 1


def test_end_of_an_update_on_a_shared_server_leaves_its_count(box_broker: Broker) -> None:
    """There is no memory to settle; the place stays the server."""
    provision(box_broker, "i1", "part")
    with box_broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        places.settle(unit, row, {"memory_gb": 0.0, "ports": [], "copies": 1})
        assert unit.usage(["db.example.com:5432"])["db.example.com:5432"].instances == 1


def test_ports_are_chosen_side_by_side_where_nothing_is_counted(make_broker: Any, tmp_path: Any) -> None:
    """Without limits of memory or number, a request does not wait for another one's commit: each holds ports of its own."""
    unlimited = boxes.write(tmp_path).replace(", memory_gb: 4", "").replace(", memory_gb: 3", "")
    broker = make_broker(unlimited.replace("31000-31009", "31000-31999"))
    offer = broker.catalog.offer(**boxes.ids("small"))
    needs = {"memory_gb": 1, "ports": ["client", "peer"], "copies": 1}
    with broker.database.unit() as first, broker.database.unit() as second:
        chosen = [places.choose(unit, offer, needs).ports for unit in (first, second)]
    assert chosen == [{"client": 31000, "peer": 31001}, {"client": 31002, "peer": 31003}]


def test_concurrent_instances_get_different_ports(make_broker: Any, tmp_path: Any) -> None:
    """Eight at once for ten ports, two each: five get some, the others hear that there are none, and no port is given twice."""
    config = (
        boxes.write(tmp_path).replace(", memory_gb: 4", "").replace(", memory_gb: 3", "").replace("targets: [one, two]", "targets: [one]")
    )
    broker = make_broker(config)
    made: list[dict[str, Any]] = []
    refused: list[str] = []

    def ask(number: int) -> None:
        try:
            made.append(provision(broker, f"i{number}", "small"))
        except errors.NoCapacity as error:
            refused.append(str(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ports = [port for each in made for port in each["copies"][0]["ports"].values()]
    assert (len(made), len(refused)) == (5, 3), refused
    assert sorted(ports) == list(range(31000, 31010))


ONE_HOST = "{name: a, address: 192.0.2.1, memory_gb: 4}"


def of_many_hosts(make_broker: Any, tmp_path: Any, hosts: int) -> Broker:
    """Large boxes on so many hosts with 4 GB each."""
    many = ", ".join(ONE_HOST.replace("a,", f"host-{number},", 1).replace("192.0.2.1", f"10.0.0.{number}") for number in range(hosts))
    return make_broker(boxes.write(tmp_path).replace(ONE_HOST, many).replace("targets: [two, one]", "targets: [one]"))


def test_many_hosts_are_filled_to_the_last(make_broker: Any, tmp_path: Any) -> None:
    """Of many a few are looked at, and all before anybody hears that there is no room."""
    hosts = places.MANY_HOSTS + 4
    broker = of_many_hosts(make_broker, tmp_path, hosts)
    assert len({provision(broker, f"i{number}", "large", memory=4)["host"] for number in range(hosts)}) == hosts
    with pytest.raises(errors.NoCapacity) as caught:
        provision(broker, "more", "large", memory=4)
    assert str(caught.value).count("has 0 GB of memory free") == hosts


def test_many_hosts_are_given_away_side_by_side(make_broker: Any, tmp_path: Any) -> None:
    """Whoever decides about a few of them holds up nobody who decides about others; who found no room among a few holds none of these."""
    broker = of_many_hosts(make_broker, tmp_path, places.MANY_HOSTS + 1)
    offer = broker.catalog.offer(**boxes.ids("large"))
    needs = {"memory_gb": 4, "ports": ["client"], "copies": 1}
    with broker.database.unit() as unit:
        places.choose(unit, offer, needs)
        assert unit.session.scalars(LOCKS).one() == places.FEW_HOSTS + 2  # a port, and that these hosts have few of them
    with broker.database.unit() as unit:
        unit.mark()
        unit.lock_places({"somewhere"})
        assert unit.session.scalars(LOCKS).one() == 1
        unit.let_go()
        assert unit.session.scalars(LOCKS).one() == 0


LOCKS = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")


WIDE = "20000-29999"


@pytest.fixture
def wide_broker(make_broker: Any, tmp_path: Any) -> Broker:
    """One host with many ports, of which nobody counts anything: ports are guessed there."""
    return make_broker(conftest.CONFIG.format(directory=tmp_path).replace("31000-31004", WIDE))


def port(broker: Broker, instance_id: str) -> int:
    """The port of an instance."""
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        assert row is not None
        return int(row.ports["client"])


def guesses(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """What is guessed next, and then no more."""
    left = list(ports)
    monkeypatch.setattr("random.sample", lambda _ports, wanted: [left.pop(0) for _ in range(wanted)])


def test_port_that_was_guessed_and_is_taken_is_looked_for(wide_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong guess costs a look, nothing else: the lowest free one is given."""
    guesses(monkeypatch, 20000, 20000)
    assert scenarios.provision(wide_broker, "i1").created
    assert scenarios.provision(wide_broker, "i2").created
    assert (port(wide_broker, "i1"), port(wide_broker, "i2")) == (20000, 20001)


def test_port_that_is_looked_for_while_it_is_guessed_by_another_is_not_given_twice(
    wide_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess takes no lock: it may commit between the look and the insertion of another, who then looks again."""
    guesses(monkeypatch, 20000, 20000, 20001)
    scenarios.provision(wide_broker, "i1")
    choose = places.choose

    def overtaken(unit: Any, offer: Any, needs: Any) -> Any:
        placed = choose(unit, offer, needs)
        monkeypatch.setattr(places, "choose", choose)
        scenarios.provision(wide_broker, "i3")
        return placed

    monkeypatch.setattr(places, "choose", overtaken)
    scenarios.provision(wide_broker, "i2")
    assert [port(wide_broker, name) for name in ("i1", "i2", "i3")] == [20000, 20002, 20001]


def take(broker: Broker, first: int, last: int) -> None:
    """Gives these ports to an instance that is there."""
    with broker.database.unit() as unit:
        unit.session.execute(TAKE, {"first": first, "last": last})


TAKE = text(
    "INSERT INTO allocations SELECT '127.0.0.1', port, 'i1', port::text FROM generate_series(CAST(:first AS integer), :last) AS ports(port)"
)


def test_port_of_many_is_any_free_one_where_the_lowest_are_taken(wide_broker: Broker) -> None:
    """The lowest as long as there are some; what is taken is never given, and nobody else gets what is held."""
    scenarios.ready(wide_broker, "i1")
    with wide_broker.database.unit() as unit:
        unit.session.execute(text("DELETE FROM allocations"))
    take(wide_broker, 20000, 20010)
    many = range(20000, 30000)
    with wide_broker.database.unit() as first, wide_broker.database.unit() as second:
        assert first.hold_ports("127.0.0.1", many, 2) == [20011, 20012]
        assert second.hold_ports("127.0.0.1", many, 2) == [20013, 20014]
    take(wide_broker, 20011, 25000)
    with wide_broker.database.unit() as first, wide_broker.database.unit() as second:
        held = [port for unit in (first, second) for port in unit.hold_ports("127.0.0.1", many, 5)]
    assert len(set(held)) == 10 and min(held) > 25000


def test_last_ports_of_many_are_found(wide_broker: Broker) -> None:
    """Where nearly all are taken those that are left are looked for."""
    scenarios.ready(wide_broker, "i1")
    with wide_broker.database.unit() as unit:
        unit.session.execute(text("DELETE FROM allocations"))
    take(wide_broker, 20000, 24444)
    take(wide_broker, 24446, 29998)
    with wide_broker.database.unit() as unit:
        assert unit.hold_ports("127.0.0.1", range(20000, 30000), 3) == [24445, 29999]


def test_same_id_sent_twice_at_once_is_made_once(wide_broker: Broker) -> None:
    """Both are inserted unseen; the second is refused by the key, looks, and finds the operation of the first."""
    accepted: list[Any] = []
    threads = [threading.Thread(target=lambda: accepted.append(scenarios.provision(wide_broker, "i1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.operation_id for each in accepted}) == 1
    assert sorted(each.created for each in accepted) == [False, False, False, True]
