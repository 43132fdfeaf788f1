"""Writes test/fixtures/datasets/parquet/: python scripts/make-parquet-fixtures.py

Needs pyarrow. Only for making the files again: neither tests nor the package need Python.
Two pictures of 8x8, red and green, as png.
"""
import struct, zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).parents[1] / 'test/fixtures/datasets/parquet'


def png(colour):
    def chunk(tag, data):
        return struct.pack('>I', len(data)) + tag + data + struct.pack('>I', zlib.crc32(tag + data))
    rows = (b'\0' + bytes(colour) * 8) * 8
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', 8, 8, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def write(name, images, kind, codec='zstd', **options):
    table = pa.table({'image': pa.array(images, kind), 'text': ['a red square', 'ein grünes Quadrat']})
    pq.write_table(table, OUT / f'{name}.parquet', compression=codec, **options)


OUT.mkdir(parents=True, exist_ok=True)
pictures = [png([255, 0, 0]), png([0, 255, 0])]
struct_type = pa.struct({'bytes': pa.binary(), 'path': pa.string()})
nested = [{'bytes': data, 'path': f'{i}.png'} for i, data in enumerate(pictures)]
for codec in ('none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4'):
    write(codec, nested, struct_type, codec)
write('bytes', pictures, pa.binary())
write('large-bytes', pictures, pa.large_binary(), data_page_version='2.0')
write('dictionary', pictures, pa.binary(), use_dictionary=True)
write('delta', pictures, pa.binary(), use_dictionary=False, column_encoding={'image': 'DELTA_LENGTH_BYTE_ARRAY', 'text': 'PLAIN'})
write('path', [{'bytes': None, 'path': 'red.png'}, {'bytes': None, 'path': 'green.png'}], struct_type)
write('null', [pictures[0], None], pa.binary())
write('text', ['red.png', 'green.png'], pa.string())
