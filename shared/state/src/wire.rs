//! What of this crate's records is on storage, field by field. See [`codec`](crate::codec) for how a field is written.
//!
//! The shapes in memory may change; these may not.
//!
//! Rules: here bytes become a value or none; what a value means, and that it keeps its limits, is checked by whoever
//! decodes it ([`Schema::check`], the blob's reader).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::blob::{BlobKind, Footer, SectionInfo, SectionPlace, SegmentInfo, SymbolsInfo, TypeInfo};
use crate::codec::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, malformed};
use crate::hash::Hash;
use crate::ids::{ColumnId, DatasetId, Epoch, Ordinal, Position, Timestamp, TypeId, Version};
use crate::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use crate::wire;

macro_rules! numbers {
    ($($name:ident($inner:ty)),*) => { $(
        impl Encode for $name {
            fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.0.encode(to)
            }
        }

        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
                <$inner>::decode(from).map($name)
            }
        }
    )* };
}

numbers!(Position(u64), Version(u64), Epoch(u64), Ordinal(u32), TypeId(u16), ColumnId(u16), Timestamp(u64));
numbers!(DatasetId([u8; 16]));

impl Encode for Hash {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.to_bytes().encode(to)
    }
}

impl<C> Decode<C> for Hash {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Decode::decode(from).map(|bytes| Hash::from_bytes(&bytes))
    }
}

wire! {
    Schema { types: Vec<TypeSchema> }
    TypeSchema { name: String, kind: TypeKind, fields: Vec<Field>, next_column: u16, segment_rows_log2: u8 }
    Field { name: String, column: ColumnId, optional: bool, sparse: bool, shape: Shape, encoding: u8 }
}

wire! {
    Footer {
        dataset: DatasetId,
        kind: BlobKind,
        schema: Option<Schema>,
        sections: Vec<SectionInfo>,
        types: Vec<TypeInfo>,
        symbols: Vec<SymbolsInfo>,
    }
    SectionInfo { place: SectionPlace, continues: bool, codec: u8, offset: u64, stored: u32, plain: u32, hash: Hash }
    SectionPlace { type_id: TypeId, run: u32, part: u16 }
    TypeInfo {
        type_id: TypeId,
        room: u32,
        segments: Vec<SegmentInfo>,
        runs: Vec<u32>,
        parts: Vec<u16>,
        sums: Vec<(ColumnId, u128)>,
    }
    SegmentInfo { number: u32, digest: u128 }
    SymbolsInfo { type_id: TypeId, number: u16, column: ColumnId, lengths: Vec<u8>, bytes: Vec<u8> }
}

impl Encode for BlobKind {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (*self as u8).encode(to)
    }
}

impl<C> Decode<C> for BlobKind {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u8::decode(from)? {
            0 => Ok(BlobKind::Delta),
            1 => Ok(BlobKind::Snapshot),
            _ => malformed("a blob is neither a delta nor a snapshot"),
        }
    }
}

impl Encode for TypeKind {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            TypeKind::Root { key } => (0_u8, key).encode(to),
            TypeKind::Component => 1_u8.encode(to),
        }
    }
}

impl<C> Decode<C> for TypeKind {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u8::decode(from)? {
            0 => Ok(TypeKind::Root { key: Vec::decode(from)? }),
            1 => Ok(TypeKind::Component),
            _ => malformed("a type is neither a root nor a component"),
        }
    }
}

impl Encode for Shape {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Shape::One(value) => (0_u8, value).encode(to),
            Shape::List(element) => (1_u8, element).encode(to),
            Shape::Set(element) => (2_u8, element).encode(to),
            Shape::Map(key, value) => (3_u8, key, value).encode(to),
        }
    }
}

impl<C> Decode<C> for Shape {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(match u8::decode(from)? {
            0 => Shape::One(ValueKind::decode(from)?),
            1 => Shape::List(ValueKind::decode(from)?),
            2 => Shape::Set(ValueKind::decode(from)?),
            3 => Shape::Map(ValueKind::decode(from)?, ValueKind::decode(from)?),
            _ => return malformed("a field has an unknown shape"),
        })
    }
}

impl Encode for ValueKind {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            ValueKind::Bool => 0_u8.encode(to),
            ValueKind::Int(bytes) => (1_u8, bytes).encode(to),
            ValueKind::UInt(bytes) => (2_u8, bytes).encode(to),
            ValueKind::F32 => 3_u8.encode(to),
            ValueKind::F64 => 4_u8.encode(to),
            ValueKind::String => 5_u8.encode(to),
            ValueKind::Bytes => 6_u8.encode(to),
            ValueKind::Enum(names) => (7_u8, names).encode(to),
            ValueKind::Key(id) => (8_u8, id).encode(to),
            ValueKind::Component(id) => (9_u8, id).encode(to),
            ValueKind::Dedup(id) => (10_u8, id).encode(to),
        }
    }
}

impl<C> Decode<C> for ValueKind {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(match u8::decode(from)? {
            0 => ValueKind::Bool,
            1 => ValueKind::Int(u8::decode(from)?),
            2 => ValueKind::UInt(u8::decode(from)?),
            3 => ValueKind::F32,
            4 => ValueKind::F64,
            5 => ValueKind::String,
            6 => ValueKind::Bytes,
            7 => ValueKind::Enum(Vec::decode(from)?),
            8 => ValueKind::Key(TypeId::decode(from)?),
            9 => ValueKind::Component(TypeId::decode(from)?),
            10 => ValueKind::Dedup(TypeId::decode(from)?),
            _ => return malformed("a value is of an unknown kind"),
        })
    }
}
