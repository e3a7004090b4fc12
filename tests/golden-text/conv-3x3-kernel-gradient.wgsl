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
  let n = group0 / 3;
  let n2 = group0 % 3;
  let at = local0 + (local1 >> 2u) * 66 + (local1 & 3) * 16;
  let at2 = local0 + local1 * 16;
  for (var slice: i32 = 0; slice < 2048; slice += 1) {
    let at3 = local1 + slice * 16;
    let at4 = n + ((at3 >> 5u) & 31);
    let at5 = n2 + (at3 & 31);
    let n3 = local0 + (at3 >> 10u) * 16384 + min(max(at4 - 1, 0), 31) * 512 + min(max(at5 - 1, 0), 31) * 16;
    let v = select(vec4<f32>(0.0), in0[at4_in0 + n3], vec4<bool>(at4 - 1 >= 0 && at4 - 1 <= 31 && at5 - 1 >= 0 && at5 - 1 <= 31));
    left_tile[at] = v;
    let v2 = in1[at4_in1 + slice * 256 + at2];
    right_tile[at] = v2;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n4 = k >> 2u;
      let at6 = local1 + n4 * 66;
      let a = left_tile[at6];
      let at7 = local0 + n4 * 66;
      let b = right_tile[at7];
      acc = a.x * b + acc;
      acc2 = a.y * b + acc2;
      acc3 = a.z * b + acc3;
      acc4 = a.w * b + acc4;
      let a2 = left_tile[at6 + 16];
      let b2 = right_tile[at7 + 16];
      acc = a2.x * b2 + acc;
      acc2 = a2.y * b2 + acc2;
      acc3 = a2.z * b2 + acc3;
      acc4 = a2.w * b2 + acc4;
      let a3 = left_tile[at6 + 32];
      let b3 = right_tile[at7 + 32];
      acc = a3.x * b3 + acc;
      acc2 = a3.y * b3 + acc2;
      acc3 = a3.z * b3 + acc3;
      acc4 = a3.w * b3 + acc4;
      let a4 = left_tile[at6 + 48];
      let b4 = right_tile[at7 + 48];
      acc = a4.x * b4 + acc;
      acc2 = a4.y * b4 + acc2;
      acc3 = a4.z * b4 + acc3;
      acc4 = a4.w * b4 + acc4;
    }
    workgroupBarrier();
  }
  let at8 = local0 + local1 * 64 + group0 * 1024;
  out0[at4_out0 + at8] = acc;
  out0[at4_out0 + at8 + 16] = acc2;
  out0[at4_out0 + at8 + 32] = acc3;
  out0[at4_out0 + at8 + 48] = acc4;
}
