//! A sample as a tree of JSON whose copies share what neither has changed: a copy costs nothing, and a change what leads to it.

use std::fmt;
use std::sync::Arc;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Number;

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    List(Arc<Vec<Tree>>),
    /// The names of its members, and their values.
    Object(Arc<Vec<Box<str>>>, Arc<Vec<Tree>>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value of JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(is))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Tree, E> {
        Ok(Tree::Number(n.into()))
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Tree, E> {
        Ok(Tree::Number(n.into()))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(n).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        while let Some((name, value)) = members.next_entry::<Box<str>, Tree>()? {
            names.push(name);
            values.push(value);
        }
        Ok(Tree::Object(names.into(), values.into()))
    }
}

/// A tree that something is read from.
type Source<'a> = &'a Tree;

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(is) => visitor.visit_bool(*is),
            Tree::Number(n) => n.deserialize_any(visitor),
            Tree::Text(text) => visitor.visit_borrowed_str(text),
            Tree::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Tree::Object(names, values) => visitor.visit_map(members(names, values)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Text(text) => BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor),
            Tree::Object(names, values) => {
                MapAccessDeserializer::new(members(names, values)).deserialize_enum(name, variants, visitor)
            }
            _ => Err(Error::custom("no variant")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The members of an object, one by one.
fn members<'a>(
    names: &'a [Box<str>],
    values: &'a [Tree],
) -> MapDeserializer<'a, impl Iterator<Item = (Name<'a>, Source<'a>)>, serde_json::Error> {
    MapDeserializer::new(names.iter().map(|name| Name(name)).zip(values))
}

/// The name of a member, lent and not copied.
struct Name<'a>(&'a str);

impl<'a> IntoDeserializer<'a, serde_json::Error> for Name<'a> {
    type Deserializer = BorrowedStrDeserializer<'a, serde_json::Error>;

    fn into_deserializer(self) -> Self::Deserializer {
        BorrowedStrDeserializer::new(self.0)
    }
}

impl<'a> IntoDeserializer<'a, serde_json::Error> for Source<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::synthetic;
    use crate::sample::Sample;
    use serde_json::{Value, json};

    fn tree(value: &Value) -> Tree {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn what_is_read_from_a_tree_is_what_was_written() {
        let value = json!({"a": [1, -2, 0.5, null, true], "b": {"Ok": "x"}, "c": {}, "d": [], "e": u64::MAX});
        assert_eq!(Value::deserialize(&tree(&value)).unwrap(), value);
        for sample in [synthetic::sample(1000, 5), synthetic::host_only(7)] {
            let value = serde_json::to_value(&sample).unwrap();
            assert_eq!(Sample::deserialize(&tree(&value)).unwrap(), sample);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for value in [json!({}), json!([]), json!(null), json!({"t_ms": "x"}), json!({"t_ms": 1, "engines": {"a": 1}})]
        {
            assert!(Sample::deserialize(&tree(&value)).is_err(), "{value}");
        }
    }
}
