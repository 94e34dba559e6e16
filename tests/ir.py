# openvino_model.xml and .bin as data: layers, edges and constants, read without OpenVINO.
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

import numpy as np

ELEMENT_TYPES = {"f32": np.float32, "f16": np.float16, "i32": np.int32, "i64": np.int64}


@dataclass
class Layer:
    id: str
    name: str
    type: str
    version: str
    data: dict
    input_shapes: list  # by port; -1 is dynamic
    outputs: list  # (precision, names, shape) by port
    sources: list = field(default_factory=list)  # ids of the layers in front, by port


@dataclass
class Constant:
    name: str
    type: str
    shape: tuple
    offset: int
    bytes: int
    values: np.ndarray


def shape_of(port):
    return [int(dim.text) for dim in port.findall("dim")]


class Ir:
    def __init__(self, folder):
        self.root = ElementTree.parse(folder / "openvino_model.xml").getroot()
        self.bin = np.memmap(folder / "openvino_model.bin", np.uint8, "r")
        self.layers = {}
        for element in self.root.find("layers"):
            data = element.find("data")
            inputs, outputs = element.find("input"), element.find("output")
            layer = Layer(element.get("id"), element.get("name"), element.get("type"), element.get("version"),
                          {} if data is None else dict(data.attrib),
                          [] if inputs is None else [shape_of(port) for port in inputs],
                          [] if outputs is None else [(port.get("precision"), port.get("names"), shape_of(port)) for port in outputs])
            layer.sources = [None] * len(layer.input_shapes)
            self.layers[layer.id] = layer
        for edge in self.root.find("edges"):
            self.layers[edge.get("to-layer")].sources[int(edge.get("to-port"))] = edge.get("from-layer")

    def of_type(self, *types):
        return [layer for layer in self.layers.values() if layer.type in types]

    def source(self, layer, port):
        return self.layers[layer.sources[port]]

    def all_types(self):
        """(type, version) of every layer, those of inner bodies too."""
        return {(element.get("type"), element.get("version")) for element in self.root.iter("layer")}

    def constants(self):
        """name -> Constant, of the top level."""
        result = {}
        for layer in self.of_type("Const"):
            text = layer.data["shape"]
            shape = tuple(int(part) for part in text.split(",")) if text else ()
            offset, size, kind = int(layer.data["offset"]), int(layer.data["size"]), layer.data["element_type"]
            values = None
            if kind in ELEMENT_TYPES:
                count = int(np.prod(shape)) * np.dtype(ELEMENT_TYPES[kind]).itemsize  # `size` is 1 for a constant without elements
                values = self.bin[offset:offset + count].view(ELEMENT_TYPES[kind]).reshape(shape)
            result[layer.name] = Constant(layer.name, kind, shape, offset, size, values)
        return result
