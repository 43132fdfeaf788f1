/** The part of TensorFlow's event.proto and summary.proto that curves, pictures and texts need. */
import protobuf from 'protobufjs/light.js';

const field = (id: number, type: string, repeated = false) => ({ id, type, ...(repeated ? { rule: 'repeated' } : {}) });

const eventType = protobuf.Root.fromJSON({
  nested: {
    Image: {
      fields: {
        height: field(1, 'int32'),
        width: field(2, 'int32'),
        colorspace: field(3, 'int32'),
        encoded: field(4, 'bytes'),
      },
    },
    Dim: { fields: { size: field(1, 'int64') } },
    TensorShape: { fields: { dim: field(2, 'Dim', true) } },
    Tensor: { fields: { dtype: field(1, 'int32'), shape: field(2, 'TensorShape'), strings: field(8, 'bytes', true) } },
    PluginData: { fields: { pluginName: field(1, 'string') } },
    Metadata: { fields: { pluginData: field(1, 'PluginData') } },
    Value: {
      fields: {
        tag: field(1, 'string'),
        simpleValue: field(2, 'float'),
        image: field(4, 'Image'),
        tensor: field(8, 'Tensor'),
        metadata: field(9, 'Metadata'),
      },
    },
    Summary: { fields: { value: field(1, 'Value', true) } },
    Event: {
      fields: {
        wallTime: field(1, 'double'),
        step: field(2, 'int64'),
        fileVersion: field(3, 'string'),
        summary: field(5, 'Summary'),
      },
    },
  },
}).lookupType('Event');

/** DataType DT_STRING of types.proto; 3 channels of a picture: RGB. */
const DT_STRING = 7,
  RGB = 3;

const event = (fields: object): Uint8Array => eventType.encode(fields).finish();

/** The first of every file. */
export const versionEvent = (wallTime: number): Uint8Array => event({ wallTime, fileVersion: 'brain.Event:2' });

export const scalarsEvent = (scalars: Readonly<Record<string, number>>, step: number, wallTime: number): Uint8Array =>
  event({
    wallTime,
    step,
    summary: { value: Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue })) },
  });

export const imageEvent = (
  tag: string,
  { width, height, png }: { readonly width: number; readonly height: number; readonly png: Uint8Array },
  step: number,
  wallTime: number,
): Uint8Array =>
  event({ wallTime, step, summary: { value: [{ tag, image: { height, width, colorspace: RGB, encoded: png } }] } });

/** Markdown. */
export const textEvent = (tag: string, text: string, step: number, wallTime: number): Uint8Array =>
  event({
    wallTime,
    step,
    summary: {
      value: [
        {
          tag,
          tensor: { dtype: DT_STRING, shape: { dim: [{ size: 1 }] }, strings: [new TextEncoder().encode(text)] },
          metadata: { pluginData: { pluginName: 'text' } },
        },
      ],
    },
  });

export const stepOf = (data: Uint8Array): number =>
  Number((eventType.decode(data) as unknown as { step: unknown }).step);
