// fuses conv
// matmul-tiles split(m, 32) split(n, 32) split(k, 16) bind(m, 8) bind(n, 8)

@group(0) @binding(0) var<storage, read> in0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> in1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out0: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> block: array<vec4<u32>, 1>;
var<workgroup> left_tile: array<vec4<f32>, 136>;
var<workgroup> right_tile: array<vec4<f32>, 136>;

@compute @workgroup_size(8, 8, 1)
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
  let n = group0 >> 1u;
  let at = local0 + n * 8;
  let n2 = at / 48;
  let n3 = (at >> 4u) % 3;
  let n4 = at & 15;
  let at2 = local0 + (local1 >> 2u) * 34 + (local1 & 3) * 8;
  let n5 = group0 & 1;
  let at3 = local0 + local1 * 16 + n5 * 8;
  for (var slice: i32 = 0; slice < 2048; slice += 1) {
    let at4 = local1 + slice * 16;
    let at5 = n2 + ((at4 >> 5u) & 31);
    let at6 = n3 + (at4 & 31);
    let n6 = (at4 >> 10u) * 16384 + n4 + min(max(at5 - 1, 0), 31) * 512 + min(max(at6 - 1, 0), 31) * 16;
    let v = select(vec4<f32>(0.0), in0[at4_in0 + n6], vec4<bool>((at5 - 1 >= 0) & (at5 - 1 <= 31) & (at6 - 1 >= 0) & (at6 - 1 <= 31)));
    left_tile[at2] = v;
    let at7 = n2 + (((at4 + 8) >> 5u) & 31);
    let at8 = n3 + ((at4 + 8) & 31);
    let n7 = n4 + ((at4 + 8) >> 10u) * 16384 + min(max(at7 - 1, 0), 31) * 512 + min(max(at8 - 1, 0), 31) * 16;
    let v2 = select(vec4<f32>(0.0), in0[at4_in0 + n7], vec4<bool>((at7 - 1 >= 0) & (at7 - 1 <= 31) & (at8 - 1 >= 0) & (at8 - 1 <= 31)));
    left_tile[at2 + 68] = v2;
    let at9 = slice * 256 + at3;
    let v3 = in1[at4_in1 + at9];
    right_tile[at2] = v3;
    let v4 = in1[at4_in1 + at9 + 128];
    right_tile[at2 + 68] = v4;
    workgroupBarrier();
    for (var k: i32 = 0; k < 16; k += 4) {
      let n8 = k >> 2u;
      let at10 = local1 + n8 * 34;
      let a = left_tile[at10];
      let at11 = local0 + n8 * 34;
      let b = right_tile[at11];
      acc = a.x * b + acc;
      acc2 = a.y * b + acc2;
      acc3 = a.z * b + acc3;
      acc4 = a.w * b + acc4;
      let a2 = left_tile[at10 + 8];
      let b2 = right_tile[at11 + 8];
      acc = a2.x * b2 + acc;
      acc2 = a2.y * b2 + acc2;
      acc3 = a2.z * b2 + acc3;
      acc4 = a2.w * b2 + acc4;
      let a3 = left_tile[at10 + 16];
      let b3 = right_tile[at11 + 16];
      acc = a3.x * b3 + acc;
      acc2 = a3.y * b3 + acc2;
      acc3 = a3.z * b3 + acc3;
      acc4 = a3.w * b3 + acc4;
      let a4 = left_tile[at10 + 24];
      let b4 = right_tile[at11 + 24];
      acc = a4.x * b4 + acc;
      acc2 = a4.y * b4 + acc2;
      acc3 = a4.z * b4 + acc3;
      acc4 = a4.w * b4 + acc4;
    }
    workgroupBarrier();
  }
  let at12 = local0 + local1 * 64 + n * 512 + n5 * 8;
  out0[at4_out0 + at12] = acc;
  out0[at4_out0 + at12 + 16] = acc2;
  out0[at4_out0 + at12 + 32] = acc3;
  out0[at4_out0 + at12 + 48] = acc4;
}
