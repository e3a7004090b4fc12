/** The messages of ONNX files as decoded: every field may be missing, repeated fields are arrays. Names and meanings are those of schema/onnx.proto. */

/** A 64-bit integer as protobufjs decodes it. */
export type Int64 = number | { readonly low: number; readonly high: number; readonly unsigned: boolean };

export interface StringStringEntryProto {
  key?: string | null;
  value?: string | null;
}

export interface TensorProto {
  dims?: Int64[] | null;
  data_type?: number | null;
  segment?: { begin?: Int64 | null; end?: Int64 | null } | null;
  float_data?: number[] | null;
  int32_data?: number[] | null;
  string_data?: Uint8Array[] | null;
  int64_data?: Int64[] | null;
  name?: string | null;
  raw_data?: Uint8Array | null;
  double_data?: number[] | null;
  uint64_data?: Int64[] | null;
  doc_string?: string | null;
  external_data?: StringStringEntryProto[] | null;
  data_location?: number | null;
  metadata_props?: StringStringEntryProto[] | null;
}

export interface SparseTensorProto {
  values?: TensorProto | null;
  indices?: TensorProto | null;
  dims?: Int64[] | null;
}

export interface TensorShapeDimension {
  dim_value?: Int64 | null;
  dim_param?: string | null;
  denotation?: string | null;
}
export interface TensorShapeProto {
  dim?: TensorShapeDimension[] | null;
}

export interface TensorTypeProto {
  elem_type?: number | null;
  shape?: TensorShapeProto | null;
}
export interface TypeProto {
  tensor_type?: TensorTypeProto | null;
  sequence_type?: { elem_type?: TypeProto | null } | null;
  map_type?: { key_type?: number | null; value_type?: TypeProto | null } | null;
  opaque_type?: { domain?: string | null; name?: string | null } | null;
  sparse_tensor_type?: TensorTypeProto | null;
  optional_type?: { elem_type?: TypeProto | null } | null;
  denotation?: string | null;
}

export interface ValueInfoProto {
  name?: string | null;
  type?: TypeProto | null;
  doc_string?: string | null;
  metadata_props?: StringStringEntryProto[] | null;
}

export interface AttributeProto {
  name?: string | null;
  f?: number | null;
  i?: Int64 | null;
  s?: Uint8Array | null;
  t?: TensorProto | null;
  g?: GraphProto | null;
  floats?: number[] | null;
  ints?: Int64[] | null;
  strings?: Uint8Array[] | null;
  tensors?: TensorProto[] | null;
  graphs?: GraphProto[] | null;
  doc_string?: string | null;
  tp?: TypeProto | null;
  type_protos?: TypeProto[] | null;
  type?: number | null;
  ref_attr_name?: string | null;
  sparse_tensor?: SparseTensorProto | null;
  sparse_tensors?: SparseTensorProto[] | null;
}

export interface NodeProto {
  input?: string[] | null;
  output?: string[] | null;
  name?: string | null;
  op_type?: string | null;
  attribute?: AttributeProto[] | null;
  doc_string?: string | null;
  domain?: string | null;
  overload?: string | null;
  metadata_props?: StringStringEntryProto[] | null;
}

export interface GraphProto {
  node?: NodeProto[] | null;
  name?: string | null;
  initializer?: TensorProto[] | null;
  doc_string?: string | null;
  input?: ValueInfoProto[] | null;
  output?: ValueInfoProto[] | null;
  value_info?: ValueInfoProto[] | null;
  quantization_annotation?: { tensor_name?: string | null; quant_parameter_tensor_names?: StringStringEntryProto[] | null }[] | null;
  sparse_initializer?: SparseTensorProto[] | null;
  metadata_props?: StringStringEntryProto[] | null;
}

export interface OperatorSetIdProto {
  domain?: string | null;
  version?: Int64 | null;
}

export interface FunctionProto {
  name?: string | null;
  input?: string[] | null;
  output?: string[] | null;
  attribute?: string[] | null;
  node?: NodeProto[] | null;
  doc_string?: string | null;
  opset_import?: OperatorSetIdProto[] | null;
  domain?: string | null;
  attribute_proto?: AttributeProto[] | null;
  value_info?: ValueInfoProto[] | null;
  overload?: string | null;
  metadata_props?: StringStringEntryProto[] | null;
}

export interface ModelProto {
  ir_version?: Int64 | null;
  producer_name?: string | null;
  producer_version?: string | null;
  domain?: string | null;
  model_version?: Int64 | null;
  doc_string?: string | null;
  graph?: GraphProto | null;
  opset_import?: OperatorSetIdProto[] | null;
  metadata_props?: StringStringEntryProto[] | null;
  training_info?: { initialization?: GraphProto | null; algorithm?: GraphProto | null }[] | null;
  functions?: FunctionProto[] | null;
}
