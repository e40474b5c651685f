//! A field's type as tokens: what it shows of itself, and what takes its place for text that is kept another way.

use proc_macro2::TokenStream;
use syn::{GenericArgument, Ident, PathArguments, PathSegment, Type};

use crate::hygiene::generate;

/// The type without the invisible groups that a `macro_rules!` puts around a `$type:ty`, and with `Self` spelled out: the
/// reader has a `Self` that is another type.
pub(crate) fn plain(ty: &Type, owner: &Ident) -> Type {
    let mut plain = ty.clone();
    make_plain(&mut plain, owner);
    plain
}

fn make_plain(ty: &mut Type, owner: &Ident) {
    match ty {
        Type::Group(group) => {
            *ty = (*group.elem).clone();
            make_plain(ty, owner);
        }
        Type::Paren(paren) => {
            *ty = (*paren.elem).clone();
            make_plain(ty, owner);
        }
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if segment.ident == "Self" {
                    let span = segment.ident.span();
                    segment.ident.clone_from(owner);
                    segment.ident.set_span(span);
                }
                if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                    arguments.args.iter_mut().filter_map(type_argument).for_each(|inner| make_plain(inner, owner));
                }
            }
        }
        _ => {}
    }
}

fn type_argument(argument: &mut GenericArgument) -> Option<&mut Type> {
    match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

pub(crate) fn is_float(ty: &Type) -> bool {
    is_named(ty, "f32") || is_named(ty, "f64")
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// The std types that take others, by their last segment, with their arguments.
pub(crate) fn generic(ty: &Type) -> Option<(&'static str, Vec<&Type>)> {
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
pub(crate) fn dedup(field: &Ident, ty: &Type, krate: &TokenStream) -> syn::Result<Type> {
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
    arguments.args.iter_mut().filter_map(type_argument).nth(position).is_some_and(|inner| replace_text(inner, krate))
}

/// The marker of packed text, or `Option` of it.
pub(crate) fn packed(field: &Ident, ty: &Type, krate: &TokenStream) -> syn::Result<Type> {
    let marker = generate!(#krate::__derive::Packed);
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
