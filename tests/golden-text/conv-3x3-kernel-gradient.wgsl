// fuses conv
// matmul-tiles split(m, 64) split(n, 64) split(k, 16) bind(m, 16) bind(n, 16)

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
  let at = local0 * 4 + group0 * 64;
  let n = at / 3;
  let n2 = n % 3;
  let n3 = at % 3;
  let n4 = at / 9;
  let n5 = (at + 1) / 3 % 3;
  let n6 = (at + 1) % 3;
  let n7 = (at + 1) / 9;
  let n8 = (at + 2) / 3 % 3;
  let n9 = (at + 2) % 3;
  let n10 = (at + 2) / 9;
  let n11 = (n + 1) % 3;
  let n12 = (n + 1) / 3;
  let at2 = local0 + (local1 >> 2u) * 66 + (local1 & 3) * 16;
  for (var slice: i32 = 0; slice < 2048; slice += 1) {
    let at3 = local1 + slice * 16;
    let n13 = at3 >> 10u;
    let at4 = n2 + n13;
    let n14 = at3 >> 5u;
    let n15 = n14 & 31;
    let at5 = n3 + n15;
    let c = at5 - 1 >= 0 && at5 - 1 <= 31;
    let n16 = at3 & 31;
    let n17 = min(max(at5 - 1, 0), 31);
    let at6 = n13 + n5;
    let at7 = n15 + n6;
    let at8 = n13 + n8;
    let at9 = n15 + n9;
    let at10 = n13 + n11;
    let t = select(0.0, in0[at_in0 + n4 + n16 * 65536 + n17 * 64 + min(max(at4 - 1, 0), 31) * 2048], at4 - 1 >= 0 && at4 - 1 <= 31 && c);
    let n18 = n16 * 65536 + n7 + min(max(at6 - 1, 0), 31) * 2048 + min(max(at7 - 1, 0), 31) * 64;
    let t2 = select(0.0, in0[at_in0 + n18], at6 - 1 >= 0 && at6 - 1 <= 31 && at7 - 1 >= 0 && at7 - 1 <= 31);
    let n19 = n16 * 65536 + n10 + min(max(at8 - 1, 0), 31) * 2048 + min(max(at9 - 1, 0), 31) * 64;
    let t3 = select(0.0, in0[at_in0 + n19], at8 - 1 >= 0 && at8 - 1 <= 31 && at9 - 1 >= 0 && at9 - 1 <= 31);
    let t4 = select(0.0, in0[at_in0 + n16 * 65536 + n17 * 64 + n12 + min(max(at10 - 1, 0), 31) * 2048], at10 - 1 >= 0 && at10 - 1 <= 31 && c);
    let v = vec4<f32>(t, t2, t3, t4);
    left_tile[at2] = v;
    let v2 = in1[at4_in1 + local0 + n14 * 16 + n16 * 16384];
    right_tile[at2] = v2;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n20 = k >> 2u;
      let at11 = local1 + n20 * 66;
      let a = left_tile[at11];
      let at12 = local0 + n20 * 66;
      let b = right_tile[at12];
      acc = a.x * b + acc;
      acc2 = a.y * b + acc2;
      acc3 = a.z * b + acc3;
      acc4 = a.w * b + acc4;
      let a2 = left_tile[at11 + 16];
      let b2 = right_tile[at12 + 16];
      acc = a2.x * b2 + acc;
      acc2 = a2.y * b2 + acc2;
      acc3 = a2.z * b2 + acc3;
      acc4 = a2.w * b2 + acc4;
      let a3 = left_tile[at11 + 32];
      let b3 = right_tile[at12 + 32];
      acc = a3.x * b3 + acc;
      acc2 = a3.y * b3 + acc2;
      acc3 = a3.z * b3 + acc3;
      acc4 = a3.w * b3 + acc4;
      let a4 = left_tile[at11 + 48];
      let b4 = right_tile[at12 + 48];
      acc = a4.x * b4 + acc;
      acc2 = a4.y * b4 + acc2;
      acc3 = a4.z * b4 + acc3;
      acc4 = a4.w * b4 + acc4;
    }
    workgroupBarrier();
  }
  let at13 = local1 * 4 + group0 * 64;
  out0[at4_out0 + local0 + at13 / 9 * 16 + at13 % 9 * 1024] = acc;
  out0[at4_out0 + local0 + (at13 + 1) / 9 * 16 + (at13 + 1) % 9 * 1024] = acc2;
  out0[at4_out0 + local0 + (at13 + 2) / 9 * 16 + (at13 + 2) % 9 * 1024] = acc3;
  let n21 = at13 / 3;
  out0[at4_out0 + local0 + at13 % 3 * 1024 + (n21 + 1) % 3 * 3072 + (n21 + 1) / 3 * 16] = acc4;
}
