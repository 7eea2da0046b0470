"""The shards that a Ray cluster of two nodes makes are those that one process makes."""

import os

import pytest

from data_gen.offline import write_corpus
from tests.expect import refused
from tests.tsjax.test_workers import Failing, Power
from tsjax import prepare as stage
from tsjax.corpus import survey
from tsjax.tokenizer import Recipe
from tsjax.workers import Processes

pytestmark = pytest.mark.peers
ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'tsjax[ray]'")


class Node:
    """Where the work was done."""

    def __call__(self, item: int) -> str:
        return ray.get_runtime_context().get_node_id()


@pytest.fixture(scope="module")
def workers():
    from ray.cluster_utils import Cluster

    from launch.on_ray import OnRay

    os.environ["PYTHONPATH"] = os.getcwd()  # the nodes' workers find the functions of these tests
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield OnRay(address=cluster.address)
    ray.shutdown()
    cluster.shutdown()


def test_both_nodes_work_and_order_stays(workers):
    assert workers.count == 2
    assert len(set(workers.map(Node(), range(20)))) == 2
    found = list(workers.map(Power(2), range(50)))
    assert [value for value, _ in found] == [x * x for x in range(50)]
    assert os.getpid() not in {process for _, process in found}


def test_a_user_error_comes_through(workers):
    with refused("less than 3", "count to 2"):
        list(workers.map(Failing("user"), range(10)))


def test_the_same_bytes(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 20_000)
    monkeypatch.setattr(survey, "BATCH", 20_000)
    write_corpus(tmp_path / "stories", 300, seed=7)
    how = dict(recipe=Recipe(vocab_size=512), record_tokens=5000, shard_tokens=20_000)
    for name, by in (("here", Processes(1)), ("there", workers)):
        stage.prepare([tmp_path / "stories"], tmp_path / name, workers=by, **how)
    here, there = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert here == there and len(here) > 8


def test_what_no_cluster_can_do_is_refused(workers):
    from launch.on_ray import OnRay

    with refused("at most 2 workers", "3"):
        OnRay(3)
    with refused("1 worker", "0"):
        OnRay(0)
    with refused("127.0.0.1:1", "ray start"):
        OnRay(address="127.0.0.1:1")
