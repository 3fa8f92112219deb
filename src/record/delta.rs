//! A sample as what has changed since the one before: most of it has not.
//!
//! A number is added to the integer that was there. An object goes into the members that it names, of a list by their index.
//! A list of one replaces what was there by what is in it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

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

/// A value that is to be changed by what [`between`] returned, as it is read: without a tree of it in between. Where it does not
/// fit the value is left half changed.
pub(super) struct Change<'a>(pub(super) &'a mut Value);

impl<'de> DeserializeSeed<'de> for Change<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, delta: D) -> Result<(), D::Error> {
        delta.deserialize_any(self)
    }
}

impl Change<'_> {
    fn add<E: Error>(self, more: &Number) -> Result<(), E> {
        let Value::Number(n) = self.0 else { return Err(misfit()) };
        *n = sum(n, more).ok_or_else(misfit)?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for Change<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change of what is there")
    }

    fn visit_i64<E: Error>(self, more: i64) -> Result<(), E> {
        self.add(&more.into())
    }

    fn visit_u64<E: Error>(self, more: u64) -> Result<(), E> {
        self.add(&more.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut one: A) -> Result<(), A::Error> {
        *self.0 = one.next_element()?.ok_or_else(misfit)?;
        one.next_element::<IgnoredAny>()?.map_or(Ok(()), |_| Err(misfit()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut changed: A) -> Result<(), A::Error> {
        if !(self.0.is_object() || self.0.is_array()) {
            return Err(misfit());
        }
        while let Some(member) = changed.next_key_seed(Member(&mut *self.0))? {
            changed.next_value_seed(Change(member))?;
        }
        Ok(())
    }
}

/// The member of an object or the item of a list that a key names.
struct Member<'a>(&'a mut Value);

impl<'a, 'de> DeserializeSeed<'de> for Member<'a> {
    type Value = &'a mut Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<&'a mut Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Member<'a> {
    type Value = &'a mut Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the index of what is there")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<&'a mut Value, E> {
        let found = match self.0 {
            Value::Object(members) => members.get_mut(key),
            Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get_mut(index)),
            _ => None,
        };
        found.ok_or_else(misfit)
    }
}

fn sum(a: &Number, b: &Number) -> Option<Number> {
    Number::from_i128(a.as_i128()?.checked_add(b.as_i128()?)?)
}

fn misfit<E: Error>() -> E {
    E::custom("a change of something that is not there")
}

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
            Change(&mut value).deserialize(delta.clone()).unwrap();
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
            assert!(Change(&mut value.clone()).deserialize(delta.clone()).is_err(), "{value} {delta}");
        }
    }
}
