"""Writes test/fixtures/datasets/pictures/ and what PIL 12 reads from it: python scripts/make-picture-fixtures.py

Needs Pillow 12 and numpy. Only for making the files again: neither tests nor the package need Python.
`pictures.json` holds, for each file that is read, the shape and the bytes of
ImageOps.exif_transpose(picture).convert('RGB'), and for each that is refused null.
"""
import base64, io, json, struct, warnings, zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

OUT = Path(__file__).parents[1] / 'test/fixtures/datasets/pictures'
W, H = 7, 5
warnings.simplefilter('ignore')
y, x = np.mgrid[0:H, 0:W]
rgb = np.stack([x * 255 // (W - 1), y * 255 // (H - 1), (x * y * 37 + 30) % 256], -1).astype(np.uint8)
alpha = ((x + y) * 255 // (W + H - 2)).astype(np.uint8)
wide = (rgb.astype(np.uint16) * 257 - (x[..., None] * 30) % 120 * (rgb > 0)).astype(np.uint16)
RGB, GREY = Image.fromarray(rgb), Image.fromarray(rgb[..., 2])
RGBA, LA = Image.fromarray(np.dstack([rgb, alpha])), Image.merge('LA', [GREY, Image.fromarray(alpha)])
P, ONE, CMYK = RGB.quantize(16), GREY.convert('1'), RGB.convert('CMYK')
SMOOTH = RGB.resize((19, 13), Image.BICUBIC)


def save(name, picture, **options):
    picture.save(OUT / name, **options)


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def png(name, depth, colour, rows, chunks=(), interlace=0):
    def chunk(tag, data):
        return struct.pack('>I', len(data)) + tag + data + struct.pack('>I', zlib.crc32(tag + data))
    body = zlib.compress(b''.join(b'\0' + row for row in rows))
    parts = [(b'IHDR', struct.pack('>IIBBBBB', W, H, depth, colour, 0, 0, interlace)), *chunks, (b'IDAT', body), (b'IEND', b'')]
    (OUT / name).write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts))


def packed(values, depth):
    for row in values:
        bits = ''.join(f'{int(v):0{depth}b}' for v in row)
        bits += '0' * (-len(bits) % 8)
        yield bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def big_endian(values):
    return [row.astype('>u2').tobytes() for row in values.reshape(H, -1)]


def tiff(name, bits, samples, photometric, data, extra=(), sample_format=1):
    """One strip, little-endian. @param extra further tags: (tag, type, values)"""
    tags = sorted([(256, 4, [W]), (257, 4, [H]), (258, 3, [bits] * samples), (259, 3, [1]), (262, 3, [photometric]), (273, 4, [0]),
                   (277, 3, [samples]), (278, 4, [H]), (279, 4, [len(data)]), (339, 3, [sample_format] * samples), *extra])
    base = 10 + 12 * len(tags) + 4
    kinds = {3: 'H', 4: 'I'}
    blobs = [struct.pack('<' + kinds[kind] * len(values), *values) for _, kind, values in tags]
    long = sum(len(blob) for blob in blobs if len(blob) > 4)
    entries, tail = b'', b''
    for (tag, kind, values), blob in zip(tags, blobs):
        if tag == 273:
            blob = struct.pack('<I', base + long)
        value = blob.ljust(4, b'\0') if len(blob) <= 4 else struct.pack('<I', base + len(tail))
        tail += blob if len(blob) > 4 else b''
        entries += struct.pack('<HHI', tag, kind, len(values)) + value
    (OUT / name).write_bytes(b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + b'\0' * 4 + tail + data)


def bmp(name, bits, compression, rows, palette=b'', height=H):
    data, offset = b''.join(row + b'\0' * (-len(row) % 4) for row in rows), 54 + len(palette)
    header = struct.pack('<IHHI', offset + len(data), 0, 0, offset)
    info = struct.pack('<IiiHHIIiiII', 40, W, height, 1, bits, compression, len(data), 2835, 2835, len(palette) // 4, 0)
    (OUT / name).write_bytes(b'BM' + header + info + palette + data)


def gif(name, transparent, local):
    """A frame of 4x3 at (2, 1) of a screen of 8x6."""
    table = bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    own = bytes([1, 2, 3, 4, 5, 6, 250, 251, 252, 100, 101, 102]) if local else b''
    control = bytes([0x21, 0xf9, 4, int(transparent is not None), 0, 0, transparent or 0, 0])
    codes = [4] + [c for i in range(12) for c in ([(i * 7 + i // 3) % 4] + ([4] if i % 2 else []))] + [5]
    bits = sum(code << (3 * i) for i, code in enumerate(codes)).to_bytes((3 * len(codes) + 7) // 8, 'little')
    frame = b'\x2c' + struct.pack('<HHHHB', 2, 1, 4, 3, 0x81 if local else 0) + own
    screen = b'GIF89a' + struct.pack('<HHBBB', 8, 6, 0x81, 3, 0)
    (OUT / name).write_bytes(screen + table + control + b'\x21\xfe\5hello\0' + frame + bytes([2, len(bits)]) + bits + b'\0;')


def write():
    for depth in (1, 2, 4):
        png(f'grey{depth}.png', depth, 0, packed(rgb[..., 2].astype(int) >> (8 - depth), depth))
    png('rgb16.png', 16, 2, big_endian(wide))
    png('rgba16.png', 16, 6, big_endian(np.dstack([wide, alpha.astype(np.uint16) * 257])))
    png('grey-alpha16.png', 16, 4, big_endian(np.dstack([wide[..., 2], alpha.astype(np.uint16) * 257])))
    png('grey16.png', 16, 0, big_endian(wide[..., 2]))
    png('gamma.png', 8, 2, [row.tobytes() for row in rgb], [(b'gAMA', struct.pack('>I', 100000))])
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [np.ascontiguousarray(row).tobytes() for a, b, c, d in passes for row in rgb[b::d, a::c] if row.size]
    png('interlaced.png', 8, 2, rows, interlace=1)
    save('palette-transparent.png', P, transparency=bytes([0, 128, 255, 3]))
    save('rgb-transparent.png', RGB, transparency=tuple(int(v) for v in rgb[0, 0]))
    save('animated.png', RGB, save_all=True, append_images=[ImageOps.invert(RGB)])
    profile = exif(6).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text('Raw profile type exif', f'\nexif\n{len(profile):8d}\n{profile.hex()}\n', zip=True)
    save('exif-in-text.png', RGB, pnginfo=text)
    save('exif.png', RGB, exif=exif(6))

    for orientation in range(1, 9):
        save(f'orientation{orientation}.jpg', SMOOTH, exif=exif(orientation))
    save('xmp-orientation.jpg', SMOOTH, xmp=b'<x tiff:Orientation="8"/>')
    save('grey.jpg', SMOOTH.convert('L'), progressive=True)
    save('rgb-inside.jpg', SMOOTH, keep_rgb=True)
    save('cmyk.jpg', SMOOTH.convert('CMYK'), exif=exif(6))
    cmyk = bytearray((OUT / 'cmyk.jpg').read_bytes())
    adobe = cmyk.find(b'Adobe')
    cmyk[adobe + 11] = 2  # the same data, said to be YCCK
    (OUT / 'ycck.jpg').write_bytes(cmyk)
    two = io.BytesIO()
    SMOOTH.save(two, 'MPO', save_all=True, append_images=[ImageOps.invert(SMOOTH)])
    (OUT / 'two-pictures.jpg').write_bytes(two.getvalue())

    save('lossy.webp', SMOOTH, exif=exif(5))
    save('lossy-alpha.webp', Image.merge('RGBA', [*SMOOTH.split(), SMOOTH.convert('L')]))
    save('animated.webp', RGBA, save_all=True, append_images=[ImageOps.invert(RGB)], lossless=True)
    save('subsampled.avif', SMOOTH, quality=90)
    save('full.avif', SMOOTH, quality=90, subsampling='4:4:4', exif=exif(6))

    save('animated.gif', P, save_all=True, append_images=[ImageOps.invert(RGB).quantize(4)])
    save('grey.gif', GREY)
    for name, transparent, local in [('open', None, False), ('open-transparent', 2, False), ('open-local', 3, True)]:
        gif(f'{name}.gif', transparent, local)

    for kind, picture in dict(rgb=RGB, rgba=RGBA, grey=GREY, greyalpha=LA, bilevel=ONE, palette=P, cmyk=CMYK).items():
        save(f'{kind}.tif', picture, compression='tiff_lzw' if picture is not CMYK else 'tiff_adobe_deflate')
    save('jpeg-inside.tif', SMOOTH, compression='jpeg', exif=exif(3))
    save('pages.tif', RGB, save_all=True, append_images=[ImageOps.invert(RGB)])
    save('float.tif', Image.fromarray(rgb[..., 2].astype(np.float32) + 0.6))
    save('int32.tif', Image.fromarray(rgb[..., 2].astype(np.int32) * 3 - 100))
    tiff('rgb16.tif', 16, 3, 2, wide.astype('<u2').tobytes())
    tiff('cmyk16.tif', 16, 4, 5, (np.array(CMYK).astype('<u2') * 257).tobytes())
    tiff('white-is-zero.tif', 8, 1, 0, rgb[..., 2].tobytes())
    tiff('white-is-zero16.tif', 16, 1, 0, wide[..., 2].astype('<u2').tobytes())
    tiff('grey16.tif', 16, 1, 1, wide[..., 2].astype('<u2').tobytes())
    lab = ImageCms.buildTransform(ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'), 'RGB', 'LAB')
    save('refused-lab.tif', ImageCms.applyTransform(RGB, lab))
    tiff('refused-ycbcr.tif', 8, 3, 6, np.array(RGB.convert('YCbCr')).tobytes(), [(530, 3, [1, 1])])
    tiff('refused-signed.tif', 16, 1, 1, rgb[..., 2].astype('<i2').tobytes(), sample_format=2)
    tiff('refused-float-rgb.tif', 32, 3, 2, (rgb / 255).astype('<f4').tobytes(), sample_format=3)

    for kind, picture in dict(rgb=RGB, rgba=RGBA, grey=GREY, bilevel=ONE, palette=P).items():
        save(f'{kind}.bmp', picture)
    bmp('top-down.bmp', 24, 0, [row.tobytes() for row in rgb[..., ::-1]], height=-H)
    colours = bytes(16 * 4)
    bmp('refused-4bit.bmp', 4, 0, packed(rgb[..., 2][::-1] >> 4, 4), colours)
    bmp('refused-16bit.bmp', 16, 0, [row.astype('<u2').tobytes() for row in wide[::-1, :, 2] >> 1])
    for kind in ('tga', 'ppm', 'jp2', 'qoi', 'dds', 'pcx', 'sgi'):
        save(f'refused.{kind}', SMOOTH)
    save('refused.ico', RGB.resize((16, 16)), sizes=[(16, 16)])


def read(path):
    if path.name.startswith('refused'):
        return None
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert('RGB')
    return {'shape': [upright.height, upright.width, 3], 'base64': base64.b64encode(upright.tobytes()).decode()}


if __name__ == '__main__':
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    write()
    files = {path.name: read(path) for path in sorted(OUT.iterdir())}
    (OUT / 'pictures.json').write_text(json.dumps(files, indent=1) + '\n')
    print(len(files), 'files')
