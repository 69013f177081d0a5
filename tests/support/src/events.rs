//! The lines of `--events`, checked.

use serde_json::Value;

/// The event in `line`. Asserts that it is an event of version 1, in one line; and that it is one of the schema, if the feature
/// `schema` is on.
pub fn event(line: &str) -> Value {
    let event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert!(line.starts_with("{\"v\":1,\"time\":") && !line.contains(char::is_control), "{line:?}");
    #[cfg(feature = "schema")]
    schema::check(&event).unwrap_or_else(|error| panic!("{error}: {line}"));
    event
}

/// The schema of the events, `docs/events.schema.json`.
#[cfg(feature = "schema")]
pub mod schema {
    use std::sync::OnceLock;

    use boon::{Compiler, SchemaIndex, Schemas};
    use serde_json::Value;

    use crate::component;

    /// Checks `event` by the schema.
    ///
    /// # Errors
    /// It is no event: all differences.
    pub fn check(event: &Value) -> Result<(), String> {
        static SCHEMA: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
        let (schemas, index) = SCHEMA.get_or_init(compile);
        schemas.validate(event, *index).map_err(|error| error.to_string())
    }

    fn compile() -> (Schemas, SchemaIndex) {
        const NAME: &str = "events.schema.json";
        let text = std::fs::read_to_string(component::root().join("docs").join(NAME)).expect("read the schema");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(NAME, serde_json::from_str(&text).expect("JSON")).expect("a name without a base");
        let index = compiler.compile(NAME, &mut schemas).expect("a schema");
        (schemas, index)
    }
}
