/** The part of onnx.proto (ONNX 1.15, IR version 9, and later ones) that programs need, encoded with protobufjs. */
import protobuf from 'protobufjs/light.js';
import type { DType, Shape } from '../../tensor/host.js';
import { MICROSOFT, type OnnxAttr } from '../../tensor/primitive.js';
import { WRITER } from './join-in-place.js';

const field = (id: number, type: string, repeated = false) => ({ id, type, ...(repeated ? { rule: 'repeated' } : {}) });

const root = protobuf.Root.fromJSON({
  nested: {
    Opset: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    Entry: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
    Tensor: {
      fields: {
        dims: field(1, 'int64', true),
        dataType: field(2, 'int32'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
        externalData: field(13, 'Entry', true),
        dataLocation: field(14, 'int32'),
      },
    },
    Attribute: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        g: field(6, 'Graph'),
        floats: field(7, 'float', true),
        ints: field(8, 'int64', true),
        type: field(20, 'int32'),
      },
    },
    Node: {
      fields: {
        input: field(1, 'string', true),
        output: field(2, 'string', true),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: field(5, 'Attribute', true),
        domain: field(7, 'string'),
      },
    },
    Dimension: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
    TensorShape: { fields: { dim: field(1, 'Dimension', true) } },
    TensorTypeProto: { fields: { elemType: field(1, 'int32'), shape: field(2, 'TensorShape') } },
    SequenceTypeProto: { fields: { elemType: field(1, 'TypeProto') } },
    TypeProto: { fields: { tensorType: field(1, 'TensorTypeProto'), sequenceType: field(4, 'SequenceTypeProto') } },
    ValueInfo: { fields: { name: field(1, 'string'), type: field(2, 'TypeProto') } },
    Graph: {
      fields: {
        node: field(1, 'Node', true),
        name: field(2, 'string'),
        initializer: field(5, 'Tensor', true),
        input: field(11, 'ValueInfo', true),
        output: field(12, 'ValueInfo', true),
        valueInfo: field(13, 'ValueInfo', true),
      },
    },
    Model: {
      fields: {
        irVersion: field(1, 'int64'),
        producerName: field(2, 'string'),
        graph: field(7, 'Graph'),
        opsetImport: field(8, 'Opset', true),
      },
    },
  },
});
const modelType = root.lookupType('Model');

/** TensorProto.DataType */
const DATA_TYPE: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};
const EXTERNAL = 1; // TensorProto.DataLocation

export interface TensorProto {
  readonly name: string;
  readonly dims: Shape;
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly externalData?: readonly { key: string; value: string }[];
  readonly dataLocation?: number;
}

export interface NodeProto {
  readonly opType: string;
  readonly domain: string;
  readonly name: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly object[];
}

export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** by axis, what a size is called that the file leaves open */
  readonly open?: readonly (string | undefined)[];
}
/** Without a shape: of any rank and size. */
export type LooseValueInfo = Omit<ValueInfo, 'shape'> & {
  readonly shape?: Shape;
  /** a list of such tensors */ readonly sequence?: boolean;
};

export const rawTensor = (name: string, dtype: DType, dims: Shape, rawData: Uint8Array): TensorProto => ({
  name,
  dims,
  dataType: DATA_TYPE[dtype],
  rawData,
});

/** A tensor whose bytes are `length` bytes of a file beside the model, from `offset`. */
export function externalTensor(
  name: string,
  dtype: DType,
  dims: Shape,
  location: string,
  offset: number,
  length: number,
): TensorProto {
  const externalData = Object.entries({ location, offset: String(offset), length: String(length) }).map(
    ([key, value]) => ({ key, value }),
  );
  return { name, dims, dataType: DATA_TYPE[dtype], externalData, dataLocation: EXTERNAL };
}

/** AttributeProto with its AttributeType: FLOAT 1, INT 2, STRING 3, FLOATS 6, INTS 7. */
export function attribute(name: string, value: OnnxAttr): object {
  if ('i' in value) return { name, type: 2, i: value.i };
  if ('f' in value) return { name, type: 1, f: value.f };
  if ('s' in value) return { name, type: 3, s: new TextEncoder().encode(value.s) };
  return 'ints' in value ? { name, type: 7, ints: value.ints } : { name, type: 6, floats: value.floats };
}

export interface GraphParts {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers?: readonly TensorProto[];
  readonly inputs: readonly LooseValueInfo[];
  readonly outputs: readonly LooseValueInfo[];
  /** of values in between, where more is known than operators tell */
  readonly values?: readonly LooseValueInfo[];
  /** For other programs: this opset of ai.onnx and no other domain. Default: what the nodes need, and com.microsoft 1. */
  readonly opset?: number;
}

/** AttributeProto that holds a graph (AttributeType GRAPH 5): the body of a Scan. */
export const graphAttribute = (name: string, graph: GraphParts): object => ({ name, type: 5, g: graphProto(graph) });

/** The first opset with Gelu, and the version of the format that it came with. */
const GELU = { ir: 9, opset: 20 } as const;

/** Bytes of a ModelProto. */
export function encodeModel(graph: GraphParts): Uint8Array {
  const own = graph.nodes.some(({ opType }) => opType === WRITER.op) ? WRITER : GELU;
  return modelType
    .encode({
      irVersion: graph.opset === undefined ? own.ir : 8,
      producerName: 'diffengine',
      opsetImport:
        graph.opset === undefined
          ? [
              { domain: '', version: own.opset },
              { domain: MICROSOFT, version: 1 },
            ]
          : [{ domain: '', version: graph.opset }],
      graph: graphProto(graph),
    })
    .finish();
}

function graphProto({ name, nodes, initializers = [], inputs, outputs, values = [] }: GraphParts): object {
  return {
    name,
    node: nodes,
    initializer: initializers,
    input: inputs.map(valueInfo),
    output: outputs.map(valueInfo),
    valueInfo: values.map(valueInfo),
  };
}

function valueInfo({ name, dtype, shape, open, sequence }: LooseValueInfo): object {
  const tensor = {
    tensorType: {
      elemType: DATA_TYPE[dtype],
      ...(shape
        ? { shape: { dim: shape.map((dimValue, i) => (open?.[i] ? { dimParam: open[i] } : { dimValue })) } }
        : {}),
    },
  };
  return { name, type: sequence ? { sequenceType: { elemType: tensor } } : tensor };
}
