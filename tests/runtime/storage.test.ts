import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode, fromFloat16Bits, toFloat16Bits } from '../../runtime/storage.js';

test('every float16 survives the way there and back', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const v = fromFloat16Bits(bits);
    if (Number.isNaN(v)) assert.ok(Number.isNaN(fromFloat16Bits(toFloat16Bits(v))));
    else assert.is(toFloat16Bits(v), bits);
  }
});

test('values between two float16 round to the nearest, ties to even', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const [low, high] = [fromFloat16Bits(bits), fromFloat16Bits(bits + 1)];
    const middle = (low + high) / 2;
    assert.is(toFloat16Bits(middle), bits % 2 === 0 ? bits : bits + 1);
    assert.is(toFloat16Bits(low + (middle - low) * 0.9), bits);
    assert.is(toFloat16Bits(-(high - (high - middle) * 0.9)), 0x8000 | (bits + 1));
  }
  assert.is(toFloat16Bits(65519), 0x7bff);
  assert.is(toFloat16Bits(65520), 0x7c00);
  assert.is(toFloat16Bits(1e-9), 0);
  assert.is(toFloat16Bits(Number.NEGATIVE_INFINITY), 0xfc00);
});

test('bool takes a word, bytes a byte; unaligned views are read', () => {
  const stored = encode({ dtype: 'bool' }, new Uint8Array([1, 0, 7]));
  assert.equal([...new Uint32Array(stored.buffer)], [1, 0, 1]);
  const shifted = new Uint8Array(13);
  shifted.set(stored, 1);
  assert.equal([...decode({ dtype: 'bool' }, shifted.subarray(1), 3)], [1, 0, 1]);
  assert.equal([...decode({ dtype: 'bool' }, Buffer.from(shifted.buffer, 1), 3)], [1, 0, 1], 'a Buffer, as files give');
  assert.equal([...decode({ dtype: 'int8' }, encode({ dtype: 'int8' }, new Int8Array([-1, 5])), 2)], [-1, 5]);
});

test.run();
