//! A sample as what has changed since the one before: most of it has not.
//!
//! A number is added to the integer that was there. An object goes into the members that it names, of a list by their index.
//! A list of one replaces what was there by what is in it.

use serde_json::{Map, Number, Value};

/// What turns `before` into `after`; `None` where nothing does, because they are equal.
pub(super) fn between(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let replaced = || Value::Array(vec![after.clone()]);
    Some(match (before, after) {
        (Value::Number(a), Value::Number(b)) => difference(a, b).map_or_else(replaced, Value::Number),
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() && a.keys().all(|key| b.contains_key(key)) => {
            let changed = a.iter().filter_map(|(key, was)| Some((key.clone(), between(was, b.get(key)?)?)));
            Value::Object(changed.collect())
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            let changed = pairs.filter_map(|(i, (was, is))| Some((i.to_string(), between(was, is)?)));
            Value::Object(changed.collect())
        }
        _ => replaced(),
    })
}

/// Both integers, and near enough.
fn difference(a: &Number, b: &Number) -> Option<Number> {
    i64::try_from(b.as_i128()? - a.as_i128()?).ok().map(Number::from)
}

/// Applies what [`between`] returned.
///
/// # Errors
/// It does not fit.
pub(super) fn apply(value: &mut Value, delta: Value) -> Result<(), Misfit> {
    match (value, delta) {
        (value, Value::Array(mut one)) if one.len() == 1 => *value = one.pop().ok_or(Misfit)?,
        (Value::Number(n), Value::Number(more)) => *n = sum(n, &more).ok_or(Misfit)?,
        (Value::Object(members), Value::Object(changed)) => {
            for (key, delta) in changed {
                apply(members.get_mut(&key).ok_or(Misfit)?, delta)?;
            }
        }
        (Value::Array(items), Value::Object(changed)) => apply_to_items(items, changed)?,
        _ => return Err(Misfit),
    }
    Ok(())
}

fn apply_to_items(items: &mut [Value], changed: Map<String, Value>) -> Result<(), Misfit> {
    for (index, delta) in changed {
        let index: usize = index.parse().map_err(|_| Misfit)?;
        apply(items.get_mut(index).ok_or(Misfit)?, delta)?;
    }
    Ok(())
}

fn sum(a: &Number, b: &Number) -> Option<Number> {
    Number::from_i128(a.as_i128()?.checked_add(b.as_i128()?)?)
}

/// A change of something that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_changed_brings_back_the_next() {
        let rows = [
            (json!({"a": 1, "b": [1, 2, {"c": 3}]}), json!({"a": 2, "b": [1, 2, {"c": -1}]})),
            (json!({"a": {"Ok": 1}}), json!({"a": {"Err": "process_ended"}})),
            (json!({"a": [1, 2]}), json!({"a": [1, 2, 3]})),
            (json!({"a": [7]}), json!({"a": [null]})),
            (json!({"a": [[1]]}), json!({"a": [[2]]})),
            (json!({"a": u64::MAX}), json!({"a": 0})),
            (json!({"a": 0}), json!({"a": u64::MAX})),
            (json!({"a": u64::MAX - 5}), json!({"a": u64::MAX})),
            (json!({"a": 0.33}), json!({"a": 1})),
            (json!({"a": null, "b": true}), json!({"a": 5, "b": false})),
            (json!({"a": "x"}), json!({"b": "x"})),
            (json!([]), json!({})),
        ];
        for (before, after) in rows {
            let delta = between(&before, &after).unwrap();
            let mut value = before.clone();
            apply(&mut value, delta.clone()).unwrap();
            assert_eq!(value, after, "{delta}");
            assert_eq!(between(&after, &after), None);
        }
        assert_eq!(
            between(&json!({"t": 1000, "a": [1, 2], "s": "x"}), &json!({"t": 2001, "a": [1, 1], "s": "y"})),
            Some(json!({"t": 1001, "a": {"1": -1}, "s": ["y"]}))
        );
    }

    #[test]
    fn a_change_of_what_is_not_there_is_told() {
        for (value, delta) in [
            (json!({"a": 1}), json!({"b": 1})),
            (json!([1]), json!({"1": 1})),
            (json!([1]), json!({"x": 1})),
            (json!("x"), json!(1)),
            (json!(u64::MAX), json!(1)),
            (json!(1), json!([])),
        ] {
            assert_eq!(apply(&mut value.clone(), delta.clone()), Err(Misfit), "{value} {delta}");
        }
    }
}
