//! A sample as what has changed since the one before: most of it has not.
//!
//! A number is added to the integer that was there. An object goes into the members that it names, of a list by their index.
//! A list of one replaces what was there by what is in it.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::tree::Tree;

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

/// A tree that is to be changed by what [`between`] returned, as it is read: without a tree of that in between. Where it does not
/// fit the tree is left half changed.
pub(super) struct Change<'a>(pub(super) &'a mut Tree);

impl<'de> DeserializeSeed<'de> for Change<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, delta: D) -> Result<(), D::Error> {
        delta.deserialize_any(self)
    }
}

impl Change<'_> {
    fn add<E: Error>(self, more: i128) -> Result<(), E> {
        let Tree::Number(n) = self.0 else { return Err(misfit()) };
        *n = n.as_i128().and_then(|n| Number::from_i128(n.checked_add(more)?)).ok_or_else(misfit)?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for Change<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change of what is there")
    }

    fn visit_i64<E: Error>(self, more: i64) -> Result<(), E> {
        self.add(more.into())
    }

    fn visit_u64<E: Error>(self, more: u64) -> Result<(), E> {
        self.add(more.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut one: A) -> Result<(), A::Error> {
        *self.0 = one.next_element()?.ok_or_else(misfit)?;
        one.next_element::<IgnoredAny>()?.map_or(Ok(()), |_| Err(misfit()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut changed: A) -> Result<(), A::Error> {
        match self.0 {
            Tree::Object(names, values) => {
                let (values, mut from) = (Arc::make_mut(values), 0);
                while let Some(at) = changed.next_key_seed(Member { names, from })? {
                    changed.next_value_seed(Change(values.get_mut(at).ok_or_else(misfit)?))?;
                    from = at + 1;
                }
                Ok(())
            }
            Tree::List(items) => {
                let items = Arc::make_mut(items);
                while let Some(Index(at)) = changed.next_key()? {
                    changed.next_value_seed(Change(items.get_mut(at).ok_or_else(misfit)?))?;
                }
                Ok(())
            }
            _ => Err(misfit()),
        }
    }
}

/// Finds the member of an object that a key names.
struct Member<'a> {
    names: &'a [Box<str>],
    /// Where it will be, or behind that: names come in their order.
    from: usize,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<usize, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of what is there")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<usize, E> {
        let mut places = (self.from..self.names.len()).chain(0..self.from);
        places.find(|at| *self.names[*at] == *key).ok_or_else(misfit)
    }
}

/// The index of an item, which as the name of a member is text.
#[derive(Deserialize)]
struct Index(usize);

fn misfit<E: Error>() -> E {
    E::custom("a change of something that is not there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::de::StrRead;
    use serde_json::json;

    fn tree(value: &Value) -> Tree {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn reader(text: &str) -> serde_json::Deserializer<StrRead<'_>> {
        serde_json::Deserializer::from_str(text)
    }

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
            let was = tree(&before);
            let mut is = was.clone();
            Change(&mut is).deserialize(&mut reader(&delta.to_string())).unwrap();
            assert_eq!(Value::deserialize(&is).unwrap(), after, "{delta}");
            assert_eq!(was, tree(&before), "a copy stays as it was");
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
            let changed = Change(&mut tree(&value)).deserialize(&mut reader(&delta.to_string()));
            assert!(changed.is_err(), "{value} {delta}");
        }
    }
}
