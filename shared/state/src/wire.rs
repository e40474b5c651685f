//! What of this crate's records is on storage, field by field. See [`codec`](crate::codec) for how a field is written.
//!
//! The shapes in memory may change; these may not.
//!
//! Rules: here bytes become a value or none; what a value means, and that it keeps its limits, is checked by whoever
//! decodes it ([`Schema::check`], the blob's reader).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::blob::{BlobKind, Footer, SectionInfo, SectionPlace, SegmentInfo, SymbolsInfo, TypeInfo};
use crate::codec::{CodecError, Reader, Wire, malformed};
use crate::hash::{HASH_BYTES, Hash};
use crate::ids::{ColumnId, DatasetId, Epoch, Ordinal, Position, Timestamp, TypeId, Version};
use crate::schema::{Field, Schema, Shape, TypeKind, TypeSchema, ValueKind};
use crate::wire;

macro_rules! numbers {
    ($($name:ident($inner:ty)),*) => { $(
        impl Wire for $name {
            const BYTES_MIN: usize = <$inner as Wire>::BYTES_MIN;

            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
                <$inner as Wire>::read(from).map($name)
            }
        }
    )* };
}

numbers!(Position(u64), Version(u64), Epoch(u64), Ordinal(u32), TypeId(u16), ColumnId(u16), Timestamp(u64));

impl Wire for DatasetId {
    const BYTES_MIN: usize = 16;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        from.array().map(DatasetId)
    }
}

impl Wire for Hash {
    const BYTES_MIN: usize = HASH_BYTES;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        from.array().map(|bytes| Hash::from_bytes(&bytes))
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

impl Wire for BlobKind {
    const BYTES_MIN: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(from)? {
            0 => Ok(BlobKind::Delta),
            1 => Ok(BlobKind::Snapshot),
            _ => malformed("a blob is neither a delta nor a snapshot"),
        }
    }
}

impl Wire for TypeKind {
    const BYTES_MIN: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            TypeKind::Root { key } => {
                out.push(0);
                key.write(out);
            }
            TypeKind::Component => out.push(1),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(from)? {
            0 => Ok(TypeKind::Root { key: Vec::read(from)? }),
            1 => Ok(TypeKind::Component),
            _ => malformed("a type is neither a root nor a component"),
        }
    }
}

impl Wire for Shape {
    const BYTES_MIN: usize = 2;

    fn write(&self, out: &mut Vec<u8>) {
        let number = match self {
            Shape::One(_) => 0,
            Shape::List(_) => 1,
            Shape::Set(_) => 2,
            Shape::Map(..) => 3,
        };
        out.push(number);
        self.kinds().for_each(|kind| kind.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::read(from)? {
            0 => Shape::One(ValueKind::read(from)?),
            1 => Shape::List(ValueKind::read(from)?),
            2 => Shape::Set(ValueKind::read(from)?),
            3 => Shape::Map(ValueKind::read(from)?, ValueKind::read(from)?),
            _ => return malformed("a field has an unknown shape"),
        })
    }
}

impl Wire for ValueKind {
    const BYTES_MIN: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            ValueKind::Bool => out.push(0),
            ValueKind::Int(bytes) => out.extend([1, *bytes]),
            ValueKind::UInt(bytes) => out.extend([2, *bytes]),
            ValueKind::F32 => out.push(3),
            ValueKind::F64 => out.push(4),
            ValueKind::String => out.push(5),
            ValueKind::Bytes => out.push(6),
            ValueKind::Enum(names) => {
                out.push(7);
                names.write(out);
            }
            ValueKind::Key(id) => {
                out.push(8);
                id.write(out);
            }
            ValueKind::Component(id) => {
                out.push(9);
                id.write(out);
            }
            ValueKind::Dedup(id) => {
                out.push(10);
                id.write(out);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::read(from)? {
            0 => ValueKind::Bool,
            1 => ValueKind::Int(u8::read(from)?),
            2 => ValueKind::UInt(u8::read(from)?),
            3 => ValueKind::F32,
            4 => ValueKind::F64,
            5 => ValueKind::String,
            6 => ValueKind::Bytes,
            7 => ValueKind::Enum(Vec::read(from)?),
            8 => ValueKind::Key(TypeId::read(from)?),
            9 => ValueKind::Component(TypeId::read(from)?),
            10 => ValueKind::Dedup(TypeId::read(from)?),
            _ => return malformed("a value is of an unknown kind"),
        })
    }
}
