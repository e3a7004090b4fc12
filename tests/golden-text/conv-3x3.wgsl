// fuses conv
// matmul tile(64x64x16) thread(4x4) stage(left transposed, right) vec4

@group(0) @binding(0) var<storage, read> in0: array<f32>;
@group(0) @binding(1) var<storage, read> in1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out0: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> block: array<vec4<u32>, 1>;
var<workgroup> left_tile: array<vec4<f32>, 264>;
var<workgroup> right_tile: array<vec4<f32>, 264>;

@compute @workgroup_size(16, 16, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group0 = i32(group.x);
  let local0 = i32(local.x);
  let local1 = i32(local.y);
  let at_in0 = i32(block[0].x);
  let at4_in1 = i32(block[0].y >> 2u);
  let at4_out0 = i32(block[0].z >> 2u);
  var acc: vec4<f32> = vec4<f32>(0.0);
  var acc2: vec4<f32> = vec4<f32>(0.0);
  var acc3: vec4<f32> = vec4<f32>(0.0);
  var acc4: vec4<f32> = vec4<f32>(0.0);
  let n = (group0 * 2 + (local0 >> 3u)) & 31;
  let n2 = local0 & 7;
  let at = n2 * 4;
  let n3 = (local0 + group0 * 16) >> 8u;
  let at2 = n3 * 65536;
  let at3 = n2 * 256 + n3 * 65536;
  let at4 = local0 + (local1 >> 2u) * 66 + (local1 & 3) * 16;
  let at5 = local0 + local1 * 16;
  for (var k0: i32 = 0; k0 < 576; k0 += 16) {
    let at6 = local1 + k0;
    let at7 = n + at6 / 192;
    let c = at7 - 1 >= 0 && at7 - 1 <= 31;
    let at8 = at + (at6 >> 6u) % 3;
    let n4 = at6 & 63;
    let n5 = min(max(at7 - 1, 0), 31);
    let at9 = n5 * 2048 + at6 % 192 + at3;
    let n6 = n4 + n5 * 2048;
    let v = vec4<f32>(select(0.0, in0[at_in0 + n4 + n5 * 2048 + max(at8 - 1, 0) * 64 + at2], c && at8 - 1 >= 0), select(0.0, in0[at_in0 + at9], c), select(0.0, in0[at_in0 + at9 + 64], c), select(0.0, in0[at_in0 + n4 + n5 * 2048 + at2 + min(at8 + 2, 31) * 64], c && at8 + 2 <= 31));
    left_tile[at4] = v;
    let v2 = in1[at4_in1 + k0 * 16 + at5];
    right_tile[at4] = v2;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n7 = k >> 2u;
      let at10 = local1 + n7 * 66;
      let a = left_tile[at10];
      let at11 = local0 + n7 * 66;
      let b = right_tile[at11];
      acc = a.x * b + acc;
      acc2 = a.y * b + acc2;
      acc3 = a.z * b + acc3;
      acc4 = a.w * b + acc4;
      let a2 = left_tile[at10 + 16];
      let b2 = right_tile[at11 + 16];
      acc = a2.x * b2 + acc;
      acc2 = a2.y * b2 + acc2;
      acc3 = a2.z * b2 + acc3;
      acc4 = a2.w * b2 + acc4;
      let a3 = left_tile[at10 + 32];
      let b3 = right_tile[at11 + 32];
      acc = a3.x * b3 + acc;
      acc2 = a3.y * b3 + acc2;
      acc3 = a3.z * b3 + acc3;
      acc4 = a3.w * b3 + acc4;
      let a4 = left_tile[at10 + 48];
      let b4 = right_tile[at11 + 48];
      acc = a4.x * b4 + acc;
      acc2 = a4.y * b4 + acc2;
      acc3 = a4.z * b4 + acc3;
      acc4 = a4.w * b4 + acc4;
    }
    workgroupBarrier();
  }
  let at12 = local0 + local1 * 64 + group0 * 1024;
  out0[at4_out0 + at12] = acc;
  out0[at4_out0 + at12 + 16] = acc2;
  out0[at4_out0 + at12 + 32] = acc3;
  out0[at4_out0 + at12 + 48] = acc4;
}
