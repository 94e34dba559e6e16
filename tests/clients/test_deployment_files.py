# The files in examples/deploy: what a cluster reads of them. No cluster and no container ran them.
import re

import pytest
import yaml

from goldens import REPOSITORY

PLACE = REPOSITORY / "examples/deploy"


def documents(name):
    return list(yaml.safe_load_all((PLACE / name).read_text()))


def check_container(container, mount):
    command, folder, *options = container["args"]
    assert command == "serve" and folder == mount
    given = dict(zip(options[::2], options[1::2]))
    (port,) = container["ports"]
    assert given == {"--host": "0.0.0.0", "--port": str(port["containerPort"])}
    assert all(isinstance(word, str) for word in container["args"])  # a number there is refused
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": port["containerPort"]}
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) == {"cpu", "memory"}


def test_serving_runtime():
    runtime, service = documents("kserve-servingruntime.yaml")
    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"  # the name by which KServe finds it
    check_container(container, "/mnt/models")  # where KServe puts storageUri
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [entry["name"] for entry in runtime["spec"]["supportedModelFormats"]]


def test_deployment():
    deployment, service = documents("deployment.yaml")
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"] == service["spec"]["selector"]
    (container,) = pod["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    check_container(container, mount["mountPath"])
    assert mount["readOnly"] and mount["name"] in [volume["name"] for volume in pod["spec"]["volumes"]]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["containerPort"]


def test_dockerfile():
    lines = [line for line in (PLACE / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("FROM ") and lines[-1] == 'ENTRYPOINT ["dsv4"]'
    assert any(re.match(r"COPY dist/\*\.whl ", line) for line in lines)
    assert any(line.startswith("USER ") and line.split()[1] != "0" for line in lines)


def test_graph_of_the_model_server():
    text = "".join(line for line in (PLACE / "graph.pbtxt").read_text().splitlines(keepends=True) if not line.lstrip().startswith("#"))
    assert re.search(r"^\s*pipeline_type: LM$", text, re.MULTILINE)  # LM_CB, the default, ends at the missing paged attention
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    for name in ("models_path", "device", "calculator"):
        assert len(re.findall(rf"\b{name}: ", text)) == 1


@pytest.mark.parametrize("name", ["Dockerfile", "kserve-servingruntime.yaml", "deployment.yaml", "graph.pbtxt"])
def test_files_say_what_they_are_for(name):
    assert (PLACE / name).read_text().startswith("# ")
