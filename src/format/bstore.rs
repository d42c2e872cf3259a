//! Records of bstore, the layer that mox keeps its accounts with: a type is a bucket of BoltDB, with the records and with
//! every schema that they were written with. Read only.
//!
//! A record is decoded with the schema that it names, whatever that is; what is asked for is found by its name. Nothing is
//! copied but that. Format: <https://github.com/mjl-/bstore>, `doc.go`.

use super::bolt::{Bolt, BoltError, Bucket, Value as Found};
use super::mbox::ReadAt;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Values that lie in others: no type of mox goes deeper than three.
const DEEPEST: usize = 32;
/// The schemas of a type are at most that many, and together that long.
const MOST_VERSIONS: usize = 10_000;
const LONGEST_SCHEMAS: usize = 4 << 20;
/// The texts of a list are at most that many.
const MOST_TEXTS: usize = 4_096;
/// Seconds from the year 1 to 1970.
const TO_1970: i64 = 62_135_596_800;

/// Why a type or a record could not be read.
#[derive(Debug)]
pub enum BstoreError {
    /// The file below.
    Bolt(BoltError),
    /// A schema is not understood: of which type, and why.
    Schema(String),
}

impl fmt::Display for BstoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BstoreError::Bolt(error) => error.fmt(f),
            BstoreError::Schema(what) => f.write_str(what),
        }
    }
}

impl From<BoltError> for BstoreError {
    fn from(error: BoltError) -> BstoreError {
        BstoreError::Bolt(error)
    }
}

/// Why a record could not be decoded, for the user.
pub type Why = &'static str;

/// What a field is asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// True or false.
    Bool,
    /// A number, signed or not.
    Number,
    /// A text or bytes.
    Bytes,
    /// A moment.
    Time,
    /// A list of texts.
    Texts,
}

/// The value of a field. One that is zero has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'v> {
    /// True.
    True,
    /// A number; one that does not fit is the nearest that does.
    Number(i64),
    /// A text, which should be UTF-8, or bytes.
    Bytes(&'v [u8]),
    /// Seconds since 1970, and nanoseconds.
    Time(i64, u32),
    /// Texts, some of which may be empty.
    Texts(Vec<&'v [u8]>),
}

/// The fields asked for, in the order of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'v>(Vec<Option<Value<'v>>>);

impl<'v> Record<'v> {
    /// Whether the field is set.
    pub fn is_true(&self, field: usize) -> bool {
        matches!(self.0.get(field), Some(Some(Value::True)))
    }

    /// The number; 0 if there is none.
    pub fn number(&self, field: usize) -> i64 {
        match self.0.get(field) {
            Some(Some(Value::Number(number))) => *number,
            _ => 0,
        }
    }

    /// The bytes; none if there are none.
    pub fn bytes(&self, field: usize) -> &'v [u8] {
        match self.0.get(field) {
            Some(Some(Value::Bytes(bytes))) => bytes,
            _ => &[],
        }
    }

    /// Seconds since 1970, and nanoseconds; `None` if the field has no time.
    pub fn time(&self, field: usize) -> Option<(i64, u32)> {
        match self.0.get(field) {
            Some(Some(Value::Time(seconds, nanoseconds))) => Some((*seconds, *nanoseconds)),
            _ => None,
        }
    }

    /// The texts; none if there are none.
    pub fn texts(&self, field: usize) -> &[&'v [u8]] {
        match self.0.get(field) {
            Some(Some(Value::Texts(texts))) => texts,
            _ => &[],
        }
    }
}

/// A type: its records, and how they are decoded.
#[derive(Debug)]
pub struct Table {
    /// The bucket of the records.
    pub records: Bucket,
    /// What they were written with.
    pub schema: Schema,
}

impl Table {
    /// The type `name` with the wanted fields; `None` if the file has no such type.
    ///
    /// # Errors
    /// A schema that is not understood, and the file's.
    pub fn open<S: ReadAt + ?Sized>(
        bolt: &Bolt<'_, S>,
        name: &str,
        wanted: &[(&str, Shape)],
    ) -> Result<Option<Table>, BstoreError> {
        let Some(bucket) = bolt.bucket(&bolt.root(), name)? else { return Ok(None) };
        let missing = |what: &str| BstoreError::Schema(format!("the type {name} has no {what}"));
        let records = bolt.bucket(&bucket, "records")?.ok_or_else(|| missing("records"))?;
        let types = bolt.bucket(&bucket, "types")?.ok_or_else(|| missing("schemas"))?;
        let mut versions = BTreeMap::new();
        let mut length = 0;
        bolt.each::<BstoreError>(&types, &mut |key, value| {
            let refuse = |why: &str| Err(BstoreError::Schema(format!("a schema of the type {name} {why}")));
            let (&[a, b, c, d], Found::Bytes(json)) = (key, value) else { return refuse("is none") };
            length += json.len();
            if length > LONGEST_SCHEMAS || versions.len() == MOST_VERSIONS {
                return refuse("is too long");
            }
            let version = u32::from_be_bytes([a, b, c, d]);
            match Version::parse(json) {
                Ok(parsed) => versions.insert(u64::from(version), parsed),
                Err(why) => return refuse(&why),
            };
            Ok(())
        })?;
        let schema =
            Schema::new(versions, wanted).map_err(|why| BstoreError::Schema(format!("the type {name} {why}")))?;
        Ok(Some(Table { records, schema }))
    }
}

/// All schemas of a type, and which fields are wanted.
#[derive(Debug)]
pub struct Schema {
    versions: BTreeMap<u64, Version>,
    wanted: usize,
}

impl Schema {
    /// A wanted field counts in a version only if all later versions have it: one that was dropped and came back is
    /// another field.
    fn new(mut versions: BTreeMap<u64, Version>, wanted: &[(&str, Shape)]) -> Result<Schema, String> {
        for (at, (name, shape)) in wanted.iter().enumerate() {
            for version in versions.values_mut().rev() {
                let Some(place) = version.fields.iter().position(|field| field.name == *name) else { break };
                if !version.types.has_shape(version.fields[place].of, *shape) {
                    return Err(format!("has the field {name} of an unknown kind"));
                }
                version.fields[place].wanted = Some(at);
            }
        }
        Ok(Schema { versions, wanted: wanted.len() })
    }

    /// Decodes the value of a record.
    ///
    /// # Errors
    /// Why that is not possible.
    pub fn decode<'v>(&self, value: &'v [u8]) -> Result<Record<'v>, Why> {
        let mut input = Input { rest: value };
        let number = input.uvarint()?;
        let version = self.versions.get(&number).ok_or("its schema is not in the file")?;
        let mut record = Record(vec![None; self.wanted]);
        // The first field is the key.
        let fields = version.fields.get(1..).unwrap_or_default();
        let bits = input.bits(fields.len() as u64)?;
        for (at, field) in (0..).zip(fields) {
            if !bits.has(at) {
                continue;
            }
            match field.wanted {
                Some(slot) => record.0[slot] = version.types.value(&mut input, field.of)?,
                None => version.types.skip(&mut input, field.of, 0)?,
            }
        }
        if input.rest.is_empty() { Ok(record) } else { Err("it has more bytes than its schema says") }
    }
}

/// The number that the key of a record stands for (int64: big-endian, with the sign turned round).
pub fn key_number(key: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(key.try_into().ok()?) ^ (1 << 63)) as i64)
}

/// The key of the record with this number.
pub fn key_of(number: i64) -> [u8; 8] {
    ((number as u64) ^ (1 << 63)).to_be_bytes()
}

// --- schemas -----------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonVersion {
    ondisk_version: u32,
    #[serde(default)]
    fields: Option<Vec<JsonField>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonField {
    name: String,
    #[serde(rename = "Type")]
    of: JsonType,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonType {
    kind: JsonKind,
    #[serde(default)]
    ptr: Option<bool>,
    #[serde(default)]
    map_key: Option<Box<JsonType>>,
    #[serde(default)]
    map_value: Option<Box<JsonType>>,
    #[serde(default)]
    list: Option<Box<JsonType>>,
    #[serde(default)]
    array_length: Option<u64>,
    #[serde(default)]
    fields: Option<Vec<JsonField>>,
    #[serde(default)]
    fields_type_seq: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonKind {
    Name(String),
    /// In files of bstore's first format, counted from 1 in the order of [`KINDS`].
    Number(usize),
}

const KINDS: [&str; 20] = [
    "bytes",
    "bool",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "map",
    "slice",
    "string",
    "time",
    "binarymarshal",
    "struct",
];

/// The place of a type in [`Types`].
type TypeId = usize;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool {
        is_pointer: bool,
    },
    /// A zigzag varint.
    Signed,
    /// A varint: floating-point numbers, too, which nobody asks for.
    Unsigned,
    /// With its length in front.
    Bytes,
    /// Bytes that hold a moment.
    Time,
    Slice(TypeId),
    Array(TypeId, u64),
    Map(TypeId, TypeId),
    /// A place in [`Types::structs`].
    Struct(usize),
}

#[derive(Debug)]
struct Field {
    name: String,
    of: TypeId,
    /// Where its value goes.
    wanted: Option<usize>,
}

/// A schema: types by number, so that one that holds itself needs no end.
#[derive(Debug, Default)]
struct Types {
    kinds: Vec<Kind>,
    /// The fields of each struct.
    structs: Vec<Vec<TypeId>>,
    /// The struct of each number of a schema.
    numbered: HashMap<i64, usize>,
}

#[derive(Debug)]
struct Version {
    fields: Vec<Field>,
    types: Types,
}

impl Version {
    fn parse(json: &[u8]) -> Result<Version, String> {
        let parsed: JsonVersion =
            serde_json::from_slice(json).map_err(|error| format!("is not understood: {error}"))?;
        if !(1..=2).contains(&parsed.ondisk_version) {
            return Err(format!("has the format {}, which is not known", parsed.ondisk_version));
        }
        let mut types = Types::default();
        // A struct may hold the record itself: it has the number 1.
        types.structs.push(Vec::new());
        types.numbered.insert(1, 0);
        let mut fields = Vec::new();
        for field in parsed.fields.unwrap_or_default() {
            fields.push(Field { of: types.add(field.of)?, name: field.name, wanted: None });
        }
        types.structs[0] = fields.iter().map(|field| field.of).collect();
        Ok(Version { fields, types })
    }
}

impl Types {
    /// Numbers a type and those in it. serde_json goes no deeper than 128 levels.
    fn add(&mut self, json: JsonType) -> Result<TypeId, String> {
        let kind = match &json.kind {
            JsonKind::Name(name) => name.as_str(),
            JsonKind::Number(number) => number.checked_sub(1).and_then(|at| KINDS.get(at)).copied().unwrap_or("?"),
        };
        let inner = |json: Option<Box<JsonType>>| json.ok_or_else(|| format!("has a {kind} of nothing"));
        let kind = match kind {
            "bool" => Kind::Bool { is_pointer: json.ptr.unwrap_or_default() },
            "int" | "int8" | "int16" | "int32" | "int64" => Kind::Signed,
            "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "float32" | "float64" => Kind::Unsigned,
            "bytes" | "string" | "binarymarshal" => Kind::Bytes,
            "time" => Kind::Time,
            "slice" => Kind::Slice(self.add(*inner(json.list)?)?),
            "array" => Kind::Array(self.add(*inner(json.list)?)?, json.array_length.unwrap_or_default()),
            "map" => Kind::Map(self.add(*inner(json.map_key)?)?, self.add(*inner(json.map_value)?)?),
            "struct" => Kind::Struct(self.add_struct(json.fields, json.fields_type_seq.unwrap_or_default())?),
            other => return Err(format!("has the kind {other:?}, which is not known")),
        };
        self.kinds.push(kind);
        Ok(self.kinds.len() - 1)
    }

    fn add_struct(&mut self, fields: Option<Vec<JsonField>>, number: i64) -> Result<usize, String> {
        if number < 0 {
            let known = number.checked_neg().and_then(|number| self.numbered.get(&number));
            return known.copied().ok_or_else(|| format!("refers to its struct {number}, which is not there"));
        }
        let at = self.structs.len();
        self.structs.push(Vec::new());
        if number > 0 {
            // Its fields may refer to it.
            self.numbered.insert(number, at);
        }
        let mut members = Vec::new();
        for field in fields.unwrap_or_default() {
            members.push(self.add(field.of)?);
        }
        self.structs[at] = members;
        Ok(at)
    }

    fn has_shape(&self, of: TypeId, shape: Shape) -> bool {
        match (self.kinds[of], shape) {
            (Kind::Bool { .. }, Shape::Bool)
            | (Kind::Signed | Kind::Unsigned, Shape::Number)
            | (Kind::Bytes, Shape::Bytes)
            | (Kind::Time, Shape::Time) => true,
            (Kind::Slice(element), Shape::Texts) => matches!(self.kinds[element], Kind::Bytes),
            _ => false,
        }
    }

    /// The value of a wanted field whose bit is set.
    fn value<'v>(&self, input: &mut Input<'v>, of: TypeId) -> Result<Option<Value<'v>>, Why> {
        Ok(Some(match self.kinds[of] {
            Kind::Bool { is_pointer } => {
                if is_pointer && input.bytes(1)? == [0] {
                    return Ok(None);
                }
                Value::True
            }
            Kind::Signed => Value::Number(input.varint()?),
            Kind::Unsigned => Value::Number(i64::try_from(input.uvarint()?).unwrap_or(i64::MAX)),
            Kind::Bytes => Value::Bytes(input.counted()?),
            Kind::Time => match time(input.counted()?)? {
                Some((seconds, nanoseconds)) => Value::Time(seconds, nanoseconds),
                None => return Ok(None),
            },
            Kind::Slice(_) => Value::Texts(texts(input)?),
            // No shape leads here.
            Kind::Array(..) | Kind::Map(..) | Kind::Struct(_) => return Err("it is of an unknown kind"),
        }))
    }

    /// Passes over a value. Lists are no longer than their bytes, times eight.
    fn skip(&self, input: &mut Input<'_>, of: TypeId, depth: usize) -> Result<(), Why> {
        if depth == DEEPEST {
            return Err("it lies too deep in itself");
        }
        match self.kinds[of] {
            Kind::Bool { is_pointer } => drop(input.bytes(u64::from(is_pointer))?),
            Kind::Signed | Kind::Unsigned => drop(input.uvarint()?),
            Kind::Bytes | Kind::Time => drop(input.counted()?),
            Kind::Slice(element) => {
                let count = input.uvarint()?;
                self.skip_list(input, element, count, depth)?;
            }
            Kind::Array(element, count) => self.skip_list(input, element, count, depth)?,
            Kind::Map(key, value) => {
                let count = input.uvarint()?;
                let bits = input.bits(count)?;
                for at in 0..count {
                    self.skip(input, key, depth + 1)?;
                    if bits.has(at) {
                        self.skip(input, value, depth + 1)?;
                    }
                }
            }
            Kind::Struct(at) => {
                let fields = &self.structs[at];
                let bits = input.bits(fields.len() as u64)?;
                for (_, field) in (0..).zip(fields).filter(|(at, _)| bits.has(*at)) {
                    self.skip(input, *field, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn skip_list(&self, input: &mut Input<'_>, element: TypeId, count: u64, depth: usize) -> Result<(), Why> {
        let bits = input.bits(count)?;
        for _ in (0..count).filter(|at| bits.has(*at)) {
            self.skip(input, element, depth + 1)?;
        }
        Ok(())
    }
}

// --- bytes -------------------------------------------------------------------------------------------------------------

const ENDS_EARLY: Why = "it ends early";

/// What is left of a record.
struct Input<'v> {
    rest: &'v [u8],
}

/// Which values are not zero: the first one is the top bit of the first byte.
struct Bits<'v>(&'v [u8]);

impl Bits<'_> {
    fn has(&self, at: u64) -> bool {
        let byte = usize::try_from(at / 8).ok().and_then(|at| self.0.get(at)).copied().unwrap_or_default();
        byte & (0x80 >> (at % 8)) != 0
    }
}

impl<'v> Input<'v> {
    fn bytes(&mut self, count: u64) -> Result<&'v [u8], Why> {
        let count = usize::try_from(count).map_err(|_| ENDS_EARLY)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn counted(&mut self) -> Result<&'v [u8], Why> {
        let count = self.uvarint()?;
        self.bytes(count)
    }

    fn bits(&mut self, count: u64) -> Result<Bits<'v>, Why> {
        Ok(Bits(self.bytes(count.div_ceil(8))?))
    }

    fn uvarint(&mut self) -> Result<u64, Why> {
        let mut value = 0_u64;
        for at in 0..10 {
            let byte = self.bytes(1)?[0];
            // The tenth byte has room for one bit.
            if at == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (at * 7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("it has a number that is too long")
    }

    fn varint(&mut self) -> Result<i64, Why> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

fn texts<'v>(input: &mut Input<'v>) -> Result<Vec<&'v [u8]>, Why> {
    let count = input.uvarint()?;
    let bits = input.bits(count)?;
    if count > MOST_TEXTS as u64 {
        return Err("it has a list that is too long");
    }
    (0..count).map(|at| if bits.has(at) { input.counted() } else { Ok(&[][..]) }).collect()
}

/// A time as Go writes it: the version, seconds since the year 1, nanoseconds, the zone. `None` for the year 1 itself, by
/// which Go knows that there is none.
fn time(bytes: &[u8]) -> Result<Option<(i64, u32)>, Why> {
    const WRONG: Why = "it has a time that is not understood";
    let is_known = matches!((bytes.first(), bytes.len()), (Some(1), 15) | (Some(2), 16));
    let (Some(seconds), Some(nanoseconds)) = (
        bytes.get(1..9).and_then(|part| part.try_into().ok()).map(i64::from_be_bytes),
        bytes.get(9..13).and_then(|part| part.try_into().ok()).map(u32::from_be_bytes),
    ) else {
        return Err(WRONG);
    };
    if !is_known || nanoseconds > 999_999_999 {
        return Err(WRONG);
    }
    match seconds.checked_sub(TO_1970) {
        Some(_) if seconds == 0 && nanoseconds == 0 => Ok(None),
        Some(seconds) => Ok(Some((seconds, nanoseconds))),
        None => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn schema(versions: &[(u64, &str)], wanted: &[(&str, Shape)]) -> Result<Schema, String> {
        let parse = |(number, json): &(u64, &str)| Ok::<_, String>((*number, Version::parse(json.as_bytes())?));
        Schema::new(versions.iter().map(parse).collect::<Result<_, _>>()?, wanted)
    }

    const MAILBOX: &str = r#"{"Version":1,"OndiskVersion":2,"Noauto":false,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},
        {"Name":"CreateSeq","Type":{"Kind":"int64"}},{"Name":"ModSeq","Type":{"Kind":"int64"}},
        {"Name":"Expunged","Type":{"Kind":"bool"}},{"Name":"ParentID","Type":{"Kind":"int64"},"References":["Mailbox"]},
        {"Name":"Name","Type":{"Kind":"string"},"Nonzero":true},{"Name":"UIDValidity","Type":{"Kind":"uint32"}},
        {"Name":"UIDNext","Type":{"Kind":"uint32"}},{"Name":"Archive","Type":{"Kind":"bool"}},
        {"Name":"Draft","Type":{"Kind":"bool"}},{"Name":"Junk","Type":{"Kind":"bool"}},
        {"Name":"Sent","Type":{"Kind":"bool"}},{"Name":"Trash","Type":{"Kind":"bool"}},
        {"Name":"Keywords","Type":{"Kind":"slice","List":{"Kind":"string"}}},
        {"Name":"HaveCounts","Type":{"Kind":"bool"}},{"Name":"Total","Type":{"Kind":"int64"}},
        {"Name":"Deleted","Type":{"Kind":"int64"}},{"Name":"Unread","Type":{"Kind":"int64"}},
        {"Name":"Unseen","Type":{"Kind":"int64"}},{"Name":"Size","Type":{"Kind":"int64"}}]}"#;

    #[test]
    fn a_mailbox_of_mox() {
        use Shape::{Bool, Bytes, Number, Texts};
        let wanted = [
            ("Name", Bytes),
            ("CreateSeq", Number),
            ("ModSeq", Number),
            ("UIDValidity", Number),
            ("UIDNext", Number),
            ("Keywords", Texts),
            ("HaveCounts", Bool),
            ("Total", Number),
            ("Size", Number),
            ("Expunged", Bool),
            ("ParentID", Number),
            ("NotThere", Number),
        ];
        let schema = schema(&[(1, MAILBOX)], &wanted).unwrap();
        let value =
            hex("01 ce0e20 0e 1a 0850726f6a65637473 faf483ac03 02 02c0 07246c6162656c31 06637573746f6d 02 c804");
        let record = schema.decode(&value).unwrap();
        assert_eq!(record.bytes(0), b"Projects");
        let numbers: Vec<i64> = [1, 2, 3, 4, 7, 8, 10, 11].iter().map(|at| record.number(*at)).collect();
        assert_eq!(numbers, [7, 13, 897_645_178, 2, 1, 292, 0, 0]);
        assert_eq!(record.texts(5), [&b"$label1"[..], b"custom"]);
        assert!(record.is_true(6) && !record.is_true(9));
        assert_eq!(key_number(&hex("8000000000000007")), Some(7));
        assert_eq!(key_of(7).to_vec(), hex("8000000000000007"));
        assert_eq!(key_number(&key_of(-1)), Some(-1));
        for cut in 0..value.len() {
            assert!(schema.decode(&value[..cut]).is_err(), "{cut}");
        }
        assert!(schema.decode(&[&value[..], b"x"].concat()).is_err());
        assert_eq!(schema.decode(&[&[2], &value[1..]].concat()), Err("its schema is not in the file"));
    }

    #[test]
    fn times_of_go() {
        assert_eq!(time(&hex("01 0000000edce5e800 00000000 ffff")), Ok(Some((1_700_000_000, 0))));
        assert_eq!(time(&hex("02 0000000edce5e800 00000001 0000 05")), Ok(Some((1_700_000_000, 1))));
        assert_eq!(time(&hex("01 0000000000000000 00000000 ffff")), Ok(None));
        for wrong in ["", "01", "03 0000000edce5e800 00000000 ffff", "01 0000000edce5e800 ffffffff ffff"] {
            assert!(time(&hex(wrong)).is_err(), "{wrong}");
        }
        assert!(time(&hex("01 8000000000000000 00000000 ffff")).is_err());
    }

    /// Every kind, in both formats; fields that lie before and behind the wanted one are passed over.
    #[test]
    fn every_kind_is_passed_over() {
        let json = r#"{"OndiskVersion":2,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},
            {"Name":"M","Type":{"Kind":"map","MapKey":{"Kind":"string"},"MapValue":{"Kind":"uint"}}},
            {"Name":"A","Type":{"Kind":"array","ArrayLength":3,"List":{"Kind":"bool","Ptr":true}}},
            {"Name":"F","Type":{"Kind":"float64"}},
            {"Name":"S","Type":{"Kind":"struct","FieldsTypeSeq":2,"Fields":[
                {"Name":"N","Type":{"Kind":"int"}},
                {"Name":"Sub","Type":{"Kind":"struct","Ptr":true,"FieldsTypeSeq":-2}}]}},
            {"Name":"L","Type":{"Kind":"slice","List":{"Kind":"struct","FieldsTypeSeq":-2}}},
            {"Name":"P","Type":{"Kind":"bool","Ptr":true}},
            {"Name":"B","Type":{"Kind":"binarymarshal"}},
            {"Name":"X","Type":{"Kind":"bytes"}}]}"#;
        let schema = schema(&[(300, json)], &[("X", Shape::Bytes), ("P", Shape::Bool)]).unwrap();
        let value = hex(
            "ac02 ff 02 40 0161 0162 07 a0 00 01 8080808080808080c001 c0 02 80 04 03 a0 80 06 40 80 02 01 02 ffff 03 787978",
        );
        let record = schema.decode(&value).unwrap();
        assert_eq!((record.bytes(0), record.is_true(1)), (&b"xyx"[..], true));
        let numbered =
            json.replace("\"OndiskVersion\":2", "\"OndiskVersion\":1").replace(r#""Kind":"bytes""#, r#""Kind":1"#);
        let older = schema_of(&numbered.replace(r#""Kind":"struct""#, r#""Kind":20"#));
        assert_eq!(older.decode(&value).unwrap().bytes(0), b"xyx");
    }

    fn schema_of(json: &str) -> Schema {
        schema(&[(300, json)], &[("X", Shape::Bytes)]).unwrap()
    }

    #[test]
    fn a_field_that_was_dropped_is_dead() {
        let with = r#"{"OndiskVersion":2,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},{"Name":"A","Type":{"Kind":"int32"}}]}"#;
        let without = r#"{"OndiskVersion":2,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},{"Name":"B","Type":{"Kind":"string"}}]}"#;
        let wanted = [("A", Shape::Number)];
        let first =
            |versions: &[(u64, &str)]| schema(versions, &wanted).unwrap().decode(&hex("01 80 08")).unwrap().number(0);
        assert_eq!(first(&[(1, with)]), 4);
        assert_eq!(first(&[(1, with), (2, with)]), 4);
        assert_eq!(first(&[(1, with), (2, without)]), 0);
        assert_eq!(first(&[(1, with), (2, without), (3, with)]), 0);
    }

    #[test]
    fn schemas_that_are_refused() {
        let field = |of: &str| {
            format!(
                r#"{{"OndiskVersion":2,"Fields":[{{"Name":"ID","Type":{{"Kind":"int64"}}}},{{"Name":"A","Type":{of}}}]}}"#
            )
        };
        for wrong in [
            "{",
            r#"{"OndiskVersion":3}"#,
            &field(r#"{"Kind":"complex"}"#),
            &field(r#"{"Kind":21}"#),
            &field(r#"{"Kind":0}"#),
            &field(r#"{"Kind":"slice"}"#),
            &field(r#"{"Kind":"struct","FieldsTypeSeq":-9}"#),
            &field(&format!(r#"{{"Kind":"struct","FieldsTypeSeq":{}}}"#, i64::MIN)),
            &field(r#"{"Kind":"string"}"#),
        ] {
            assert!(schema(&[(1, wrong)], &[("A", Shape::Number)]).is_err(), "{wrong}");
        }
        assert!(schema(&[(1, r#"{"OndiskVersion":2,"Fields":null}"#)], &[]).unwrap().decode(&[1]).is_ok());
    }

    /// A struct that holds itself ends with the bytes, or with the depth.
    #[test]
    fn what_holds_itself_ends() {
        let json = r#"{"OndiskVersion":2,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},
            {"Name":"S","Type":{"Kind":"struct","FieldsTypeSeq":-1}}]}"#;
        let schema = schema(&[(1, json)], &[]).unwrap();
        assert!(schema.decode(&[&[1][..], &[0xff; 1000]].concat()).is_err());
        let huge = r#"{"OndiskVersion":2,"Fields":[{"Name":"ID","Type":{"Kind":"int64"}},
            {"Name":"S","Type":{"Kind":"array","ArrayLength":18446744073709551615,"List":{"Kind":"struct"}}}]}"#;
        let schema = super::tests::schema(&[(1, huge)], &[]).unwrap();
        assert_eq!(schema.decode(&[1, 0x80, 0xff]), Err(ENDS_EARLY));
    }
}
