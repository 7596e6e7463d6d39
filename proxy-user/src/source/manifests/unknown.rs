//! Fields that the API does not have. kubectl refuses them; most are typing errors that would
//! otherwise be found only by traffic that goes nowhere.

use serde_json::Value;

/// Paths of the fields of `given` that `understood`, the same object written out again by its type,
/// has not. A field without a value is none.
pub(super) fn fields(given: &Value, understood: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(given, understood, "", &mut found);
    found
}

fn collect(given: &Value, understood: &Value, path: &str, found: &mut Vec<String>) {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                let path = format!("{path}{dot}{key}");
                match understood.get(key) {
                    Some(understood) => collect(value, understood, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) => {
            for (index, (value, understood)) in given.iter().zip(understood).enumerate() {
                collect(value, understood, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_the_type_does_not_have() {
        let given = json!({
            "a": 1, "b": null, "unknown": {"x": 1},
            "list": [{"name": 1}, {"nam": 2}],
            "deep": {"er": {"known": 1, "new": 2}},
        });
        let understood =
            json!({"a": 1, "more": 2, "list": [{"name": 1}, {}], "deep": {"er": {"known": "1"}}});
        assert_eq!(fields(&given, &understood), ["deep.er.new", "list[1].nam", "unknown"]);
    }
}
