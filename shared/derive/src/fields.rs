//! A struct's fields: their types as the traits see them, and the mistakes that show in the tokens.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DataStruct, Field, Fields, GenericArgument, Ident, PathArguments, PathSegment, Type, TypePath, Visibility};

use crate::attributes::FieldAttributes;

/// A field, ready to be generated.
pub(crate) struct Parsed {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    /// The type as written.
    pub(crate) written: Type,
    /// The type that implements `Field`: as written, but for deduplicated and packed text.
    pub(crate) field_type: Type,
    /// The name in the dataset.
    pub(crate) name: String,
    pub(crate) attributes: FieldAttributes,
    pub(crate) docs: Vec<syn::Attribute>,
}

/// Methods that every reader has.
const RESERVED: [&str; 2] = ["ordinal", "to_owned"];

pub(crate) fn parse(owner: &Ident, is_root: bool, data: &DataStruct, krate: &TokenStream) -> syn::Result<Vec<Parsed>> {
    let Fields::Named(fields) = &data.fields else {
        let message = format!("record {owner} needs named fields; write struct {owner} {{ name: Type, … }}");
        return Err(syn::Error::new_spanned(owner, message));
    };
    if fields.named.is_empty() {
        return Err(syn::Error::new_spanned(
            owner,
            format!("record {owner} has no fields; a record holds at least one"),
        ));
    }
    let mut parsed: Vec<Parsed> = Vec::new();
    for field in &fields.named {
        let next = parse_field(owner, is_root, field, krate)?;
        if parsed.iter().any(|known| known.name == next.name) {
            let message = format!("field {}: two fields are named {:?} in the dataset", next.ident, next.name);
            return Err(syn::Error::new_spanned(&next.ident, message));
        }
        parsed.push(next);
    }
    Ok(parsed)
}

fn parse_field(owner: &Ident, is_root: bool, field: &Field, krate: &TokenStream) -> syn::Result<Parsed> {
    let ident = field.ident.clone().expect("named fields have names");
    let attributes = FieldAttributes::parse(&ident, &field.attrs)?;
    let plain = ident.to_string().trim_start_matches("r#").to_owned();
    let name = attributes.name.as_ref().map_or(plain, syn::LitStr::value);
    if RESERVED.iter().any(|reserved| ident == reserved) {
        let message = format!(
            "field {ident}: every reader has a method of that name; rename the field, and write #[record(name = \"{ident}\")] to keep its name in the dataset"
        );
        return Err(syn::Error::new_spanned(&ident, message));
    }
    Check { owner, is_root, field: &ident }.field(&field.ty)?;
    let field_type = match (attributes.dedup, attributes.packed) {
        (true, true) => {
            let message = format!("field {ident}: text is kept once (dedup) or packed, not both; leave one out");
            return Err(syn::Error::new_spanned(&ident, message));
        }
        (true, false) => dedup(&ident, &field.ty, krate)?,
        (false, true) => packed(&ident, &field.ty, krate)?,
        (false, false) => field.ty.clone(),
    };
    let docs = field.attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).cloned().collect();
    let (visibility, written) = (field.vis.clone(), field.ty.clone());
    Ok(Parsed { ident, visibility, written, field_type, name, attributes, docs })
}

/// The mistakes that show in the tokens. Aliases hide them; then the traits speak.
struct Check<'a> {
    owner: &'a Ident,
    is_root: bool,
    field: &'a Ident,
}

const SETS: [&str; 2] = ["BTreeSet", "HashSet"];
const MAPS: [&str; 2] = ["BTreeMap", "HashMap"];

impl Check<'_> {
    fn error<T>(&self, at: &Type, message: &str) -> syn::Result<T> {
        Err(syn::Error::new_spanned(at, format!("field {}: {message}", self.field)))
    }

    fn field(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Option", arguments)) => match arguments.first() {
                Some(inner) if matches!(generic(inner), Some(("Option", _))) => {
                    self.error(inner, "Option in Option says nothing more; write Option once")
                }
                Some(inner) => self.present(inner),
                None => Ok(()),
            },
            _ => self.present(ty),
        }
    }

    fn present(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Vec", arguments)) if arguments.first().is_some_and(|inner| is_named(inner, "u8")) => Ok(()),
            Some((name, arguments)) if name == "Vec" || SETS.contains(&name) => {
                let Some(inner) = arguments.first() else { return Ok(()) };
                if SETS.contains(&name) && is_float(inner) {
                    return self.error(inner, "a set can't hold floats, which may differ from themselves; write Vec");
                }
                self.element(inner)
            }
            Some((name, arguments)) if MAPS.contains(&name) => {
                let (Some(key), Some(value)) = (arguments.first(), arguments.get(1)) else { return Ok(()) };
                if is_float(key) {
                    return self.error(key, "a map's key can't be a float; use an integer, an enum or String");
                }
                self.element(key)?;
                self.element(value)
            }
            _ => self.value(ty),
        }
    }

    /// What stands in a list, a set or a map.
    fn element(&self, ty: &Type) -> syn::Result<()> {
        match generic(ty) {
            Some(("Vec", arguments)) if arguments.first().is_some_and(|inner| is_named(inner, "u8")) => Ok(()),
            Some((name, _)) if ["Vec", "Option"].contains(&name) || SETS.contains(&name) || MAPS.contains(&name) => {
                let message = format!(
                    "{name} inside a list, set or map is a level too deep; put it in a component: a struct with #[derive(Record)]"
                );
                self.error(ty, &message)
            }
            _ => self.value(ty),
        }
    }

    fn value(&self, ty: &Type) -> syn::Result<()> {
        match ty {
            Type::Reference(_) => self.error(ty, "a record owns what it holds; write String for &str, Vec for a slice"),
            Type::Array(_) | Type::Slice(_) => self.error(ty, "arrays are not records' values; write Vec"),
            Type::Tuple(_) => self.error(ty, "tuples have no field names; make it a struct with #[derive(Record)]"),
            Type::Path(path) => self.path(ty, path),
            _ => Ok(()),
        }
    }

    fn path(&self, ty: &Type, path: &TypePath) -> syn::Result<()> {
        let Some(last) = path.path.segments.last() else { return Ok(()) };
        let name = last.ident.to_string();
        match name.as_str() {
            "usize" | "u128" => self.error(ty, &format!("{name} has no place in a dataset; write u64")),
            "isize" | "i128" => self.error(ty, &format!("{name} has no place in a dataset; write i64")),
            "char" => self.error(ty, "char has no place in a dataset; write String or u32"),
            "Box" | "Arc" | "Rc" | "Cow" => {
                self.error(ty, &format!("{name} has no place in a record; write what is inside it"))
            }
            "VecDeque" => self.error(ty, "VecDeque has no place in a record; write Vec"),
            "Self" => self.itself(ty),
            _ if path.path.segments.len() == 1 && last.ident == *self.owner => self.itself(ty),
            _ => Ok(()),
        }
    }

    fn itself(&self, ty: &Type) -> syn::Result<()> {
        let owner = self.owner;
        let message = if self.is_root {
            format!("{owner} is a root, which is referred to by key; write Key<{owner}>")
        } else {
            format!("component {owner} can't contain itself; give it a key and write Key<{owner}>")
        };
        self.error(ty, &message)
    }
}

fn is_float(ty: &Type) -> bool {
    is_named(ty, "f32") || is_named(ty, "f64")
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// The std types that take others, by their last segment, with their arguments.
fn generic(ty: &Type) -> Option<(&'static str, Vec<&Type>)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let known = ["Option", "Vec", "BTreeSet", "HashSet", "BTreeMap", "HashMap"];
    let name = known.into_iter().find(|known| last.ident == known)?;
    Some((name, type_arguments(last)))
}

fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}

/// The type with its text (a map's: its values) replaced by the marker of deduplicated text.
fn dedup(field: &Ident, ty: &Type, krate: &TokenStream) -> syn::Result<Type> {
    let mut marked = ty.clone();
    if replace_text(&mut marked, krate) {
        return Ok(marked);
    }
    let message =
        format!("field {field}: dedup is for text; the field is no String, nor an Option, list, set or map of them");
    Err(syn::Error::new_spanned(ty, message))
}

fn replace_text(ty: &mut Type, krate: &TokenStream) -> bool {
    if is_named(ty, "String") {
        *ty = syn::parse_quote!(#krate::__derive::Dedup);
        return true;
    }
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last_mut() else { return false };
    let PathArguments::AngleBracketed(arguments) = &mut last.arguments else { return false };
    let position = usize::from(last.ident == "BTreeMap" || last.ident == "HashMap");
    let mut types = arguments.args.iter_mut().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.nth(position).is_some_and(|inner| replace_text(inner, krate))
}

/// The marker of packed text, or `Option` of it.
fn packed(field: &Ident, ty: &Type, krate: &TokenStream) -> syn::Result<Type> {
    let marker = quote!(#krate::__derive::Packed);
    match generic(ty) {
        _ if is_named(ty, "String") => Ok(syn::parse_quote!(#marker)),
        Some(("Option", inner)) if inner.first().is_some_and(|inner| is_named(inner, "String")) => {
            Ok(syn::parse_quote!(::core::option::Option<#marker>))
        }
        _ => {
            let message = format!(
                "field {field}: packed is for one text, a String or an Option of it; put text that is in a list or a map into a component"
            );
            Err(syn::Error::new_spanned(ty, message))
        }
    }
}

/// The number under which a field is found by its name: FNV-1a.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The reader's name.
pub(crate) fn reader(owner: &Ident) -> Ident {
    format_ident!("{owner}Ref")
}

/// `None` or `Some("…")`.
pub(crate) fn optional_text(text: Option<&syn::LitStr>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    }
}
