//! Writing into a JSON value. Objects on the way are made where they are missing; a list grows by one item at its end.

use super::path::{Segment, display, position};
use super::{Mode, misplaced};
use engine::fault::Fault;
use serde_json::{Map, Value as Json};

/// Puts a value at a path.
pub(super) fn put(root: &mut Json, path: &[Segment], value: Json, mode: Mode) -> Result<(), Fault> {
    match mode {
        Mode::Replace => {
            *reach(root, path, path)? = value;
            Ok(())
        }
        Mode::Child => add_child(reach(root, path, path)?, value, path),
        Mode::Before | Mode::After => add_beside(root, path, value, mode),
    }
}

/// The value at the end of `rest`, made where it is missing.
fn reach<'a>(mut value: &'a mut Json, rest: &[Segment], path: &[Segment]) -> Result<&'a mut Json, Fault> {
    for segment in rest {
        value = match segment {
            Segment::Key(key) => {
                if value.is_null() {
                    *value = Json::Object(Map::new());
                }
                let Json::Object(members) = value else {
                    return Err(wrong_kind(path, "an object"));
                };
                members.entry(key.to_string()).or_insert(Json::Null)
            }
            Segment::Index(index) => item(value, *index, path)?,
        };
    }
    Ok(value)
}

fn item<'a>(value: &'a mut Json, index: i64, path: &[Segment]) -> Result<&'a mut Json, Fault> {
    if value.is_null() {
        *value = Json::Array(Vec::new());
    }
    let Json::Array(items) = value else {
        return Err(wrong_kind(path, "a list"));
    };
    let length = items.len();
    let at = position(index, length)
        .filter(|at| *at <= length)
        .ok_or_else(|| {
            misplaced(format!(
                "`{}` is outside its list, which has {length} items",
                display(path)
            ))
        })?;
    if at == length {
        items.push(Json::Null);
    }
    Ok(&mut items[at])
}

/// Adds to a list, or members to an object; an absent value becomes a list.
fn add_child(target: &mut Json, value: Json, path: &[Segment]) -> Result<(), Fault> {
    match (target, value) {
        (target @ Json::Null, value) => *target = Json::Array(vec![value]),
        (Json::Array(items), value) => items.push(value),
        (Json::Object(members), Json::Object(more)) => members.extend(more),
        (Json::Object(_), _) => {
            return Err(wrong_kind(path, "a list; only members can be added to an object"));
        }
        _ => return Err(wrong_kind(path, "a list or an object")),
    }
    Ok(())
}

fn add_beside(root: &mut Json, path: &[Segment], value: Json, mode: Mode) -> Result<(), Fault> {
    let Some((Segment::Index(index), parents)) = path.split_last() else {
        return Err(misplaced(format!(
            "`{}` is no item of a list, so nothing can stand beside it",
            display(path)
        )));
    };
    let Json::Array(items) = reach(root, parents, path)? else {
        return Err(wrong_kind(path, "a list"));
    };
    let at = position(*index, items.len())
        .filter(|at| *at < items.len())
        .ok_or_else(|| misplaced(format!("there is no `{}`", display(path))))?;
    items.insert(at + usize::from(mode == Mode::After), value);
    Ok(())
}

fn wrong_kind(path: &[Segment], wanted: &str) -> Fault {
    misplaced(format!(
        "on the way to `{}` there is something that is not {wanted}",
        display(path)
    ))
}

/// Takes away what is at a path.
pub(super) fn remove(root: &mut Json, path: &[Segment]) {
    let Some((last, parents)) = path.split_last() else {
        *root = Json::Null;
        return;
    };
    let Some(parent) = parents
        .iter()
        .try_fold(root, |value, segment| below_mut(value, segment))
    else {
        return;
    };
    match (parent, last) {
        (Json::Object(members), Segment::Key(key)) => drop(members.shift_remove(&**key)),
        (Json::Array(items), Segment::Index(index)) => {
            if let Some(at) = position(*index, items.len()).filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn below_mut<'a>(value: &'a mut Json, segment: &Segment) -> Option<&'a mut Json> {
    match (value, segment) {
        (Json::Object(members), Segment::Key(key)) => members.get_mut(&**key),
        (Json::Array(items), Segment::Index(index)) => {
            let at = position(*index, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    }
}

/// Whether there is anything at a path.
pub(super) fn exists(root: &Json, path: &[Segment]) -> bool {
    fn below<'a>(value: &'a Json, segment: &Segment) -> Option<&'a Json> {
        match (value, segment) {
            (Json::Object(members), Segment::Key(key)) => members.get(&**key),
            (Json::Array(items), Segment::Index(index)) => items.get(position(*index, items.len())?),
            _ => None,
        }
    }
    path.iter().try_fold(root, below).is_some()
}
