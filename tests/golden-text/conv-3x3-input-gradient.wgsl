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
  let at5 = local1 * 64 + n * 16;
  for (var slice: i32 = 0; slice < 36; slice += 1) {
    let at6 = slice * 4 + n3;
    let at7 = n2 + at6 / 48;
    let n5 = at6 >> 4u;
    let at8 = n4 + n5 % 3;
    let n6 = at6 & 15;
    let v = select(vec4<f32>(0.0), in0[at4_in0 + n6 + at3 + min(max(at7 - 1, 0), 31) * 512 + min(max(at8 - 1, 0), 31) * 16], vec4<bool>(at7 - 1 >= 0 && at7 - 1 <= 31 && at8 - 1 >= 0 && at8 - 1 <= 31));
    left_tile[at4 >> 2u][at4 & 3] = v.x;
    let i = at4 + 64;
    left_tile[i >> 2u][i & 3] = v.y;
    let i2 = at4 + 128;
    left_tile[i2 >> 2u][i2 & 3] = v.z;
    let i3 = at4 + 192;
    left_tile[i3 >> 2u][i3 & 3] = v.w;
    let v2 = in1[at4_in1 + n6 + at5 - n5 * 1024 + 8192];
    right_tile[at4 >> 2u][at4 & 3] = v2.x;
    let i4 = at4 + 64;
    right_tile[i4 >> 2u][i4 & 3] = v2.y;
    let i5 = at4 + 128;
    right_tile[i5 >> 2u][i5 & 3] = v2.z;
    let i6 = at4 + 192;
    right_tile[i6 >> 2u][i6 & 3] = v2.w;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n7 = k >> 2u;
      let at9 = local1 + n7 * 66;
      let a = left_tile[at9];
      let at10 = local0 + n7 * 66;
      let b = right_tile[at10];
      acc = a.x * b + acc;
      acc2 = a.y * b + acc2;
      acc3 = a.z * b + acc3;
      acc4 = a.w * b + acc4;
      let a2 = left_tile[at9 + 16];
      let b2 = right_tile[at10 + 16];
      acc = a2.x * b2 + acc;
      acc2 = a2.y * b2 + acc2;
      acc3 = a2.z * b2 + acc3;
      acc4 = a2.w * b2 + acc4;
      let a3 = left_tile[at9 + 32];
      let b3 = right_tile[at10 + 32];
      acc = a3.x * b3 + acc;
      acc2 = a3.y * b3 + acc2;
      acc3 = a3.z * b3 + acc3;
      acc4 = a3.w * b3 + acc4;
      let a4 = left_tile[at9 + 48];
      let b4 = right_tile[at10 + 48];
      acc = a4.x * b4 + acc;
      acc2 = a4.y * b4 + acc2;
      acc3 = a4.z * b4 + acc3;
      acc4 = a4.w * b4 + acc4;
    }
    workgroupBarrier();
  }
  let at11 = local0 + local1 * 64 + group0 * 1024;
  out0[at4_out0 + at11] = acc;
  out0[at4_out0 + at11 + 16] = acc2;
  out0[at4_out0 + at11 + 32] = acc3;
  out0[at4_out0 + at11 + 48] = acc4;
}
