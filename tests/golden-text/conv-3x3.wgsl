// fuses conv
// matmul-tiles split(m, 64) split(n, 64) split(k, 16) bind(m, 16) bind(n, 16)

@group(0) @binding(0) var<storage, read> in0: array<vec4<f32>>;
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
  let at4_in0 = i32(block[0].x >> 2u);
  let at4_in1 = i32(block[0].y >> 2u);
  let at4_out0 = i32(block[0].z >> 2u);
  var acc: vec4<f32> = vec4<f32>(0.0);
  var acc2: vec4<f32> = vec4<f32>(0.0);
  var acc3: vec4<f32> = vec4<f32>(0.0);
  var acc4: vec4<f32> = vec4<f32>(0.0);
  let n = local0 >> 2u;
  let at = local1 * 4 + n;
  let at2 = group0 * 2 + (at >> 5u);
  let n2 = at2 & 31;
  let n3 = local0 & 3;
  let n4 = at & 31;
  let at3 = (at2 >> 5u) * 16384;
  let at4 = local1 * 4 + n + n3 * 264;
  let at5 = local0 + local1 * 16;
  let at6 = local0 + (local1 >> 2u) * 66 + (local1 & 3) * 16;
  for (var slice: i32 = 0; slice < 36; slice += 1) {
    let at7 = slice * 4 + n3;
    let at8 = n2 + at7 / 48;
    let at9 = n4 + (at7 >> 4u) % 3;
    let n5 = (at7 & 15) + at3 + min(max(at8 - 1, 0), 31) * 512 + min(max(at9 - 1, 0), 31) * 16;
    let v = select(vec4<f32>(0.0), in0[at4_in0 + n5], vec4<bool>(at8 - 1 >= 0 && at8 - 1 <= 31 && at9 - 1 >= 0 && at9 - 1 <= 31));
    left_tile[at4 >> 2u][at4 & 3] = v.x;
    let i = at4 + 64;
    left_tile[i >> 2u][i & 3] = v.y;
    let i2 = at4 + 128;
    left_tile[i2 >> 2u][i2 & 3] = v.z;
    let i3 = at4 + 192;
    left_tile[i3 >> 2u][i3 & 3] = v.w;
    let v2 = in1[at4_in1 + slice * 256 + at5];
    right_tile[at6] = v2;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n6 = k >> 2u;
      let at10 = local1 + n6 * 66;
      let a = left_tile[at10];
      let at11 = local0 + n6 * 66;
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
