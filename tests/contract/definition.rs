//! The state machines as they are written.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use tidegate_domain::resolve::Direction;

use crate::repository;

/// A state machine's definition.
pub(crate) struct Machine {
    /// Its file, from the top of the repository.
    pub(crate) file: &'static str,
    /// The logical id of its resource in the template.
    pub(crate) resource: &'static str,
    /// The definition.
    pub(crate) definition: Value,
}

/// All state machines.
pub(crate) fn machines() -> [Machine; 5] {
    [
        machine(Direction::Join),
        machine(Direction::Drain),
        drift_check(),
        cluster_bootstrap(),
        cluster_destroy(),
    ]
}

/// The state machine of the drift check.
pub(crate) fn drift_check() -> Machine {
    of_the_cluster("statemachine/drift-check.asl.json", "DriftCheck")
}

/// The state machine that sets a cluster up.
pub(crate) fn cluster_bootstrap() -> Machine {
    of_the_cluster("statemachine/cluster-bootstrap.asl.json", "ClusterBootstrap")
}

/// The state machine that takes a cluster away.
pub(crate) fn cluster_destroy() -> Machine {
    of_the_cluster("statemachine/cluster-destroy.asl.json", "ClusterDestroy")
}

/// A state machine that no hook waits for.
fn of_the_cluster(file: &'static str, resource: &'static str) -> Machine {
    Machine {
        file,
        resource,
        definition: repository::json(file),
    }
}

/// The state machine of that direction.
pub(crate) fn machine(direction: Direction) -> Machine {
    let (file, resource) = match direction {
        Direction::Join => ("statemachine/node-join.asl.json", "NodeJoin"),
        Direction::Drain => ("statemachine/node-drain.asl.json", "NodeDrain"),
    };
    Machine {
        file,
        resource,
        definition: repository::json(file),
    }
}

/// States that share their variables and lead to one another: a machine's own, or those of one branch.
pub(crate) struct Scope<'a> {
    /// `StartAt` and `States`.
    pub(crate) program: &'a Value,
    /// Place in [`Machine::scopes`] of the scope around it.
    pub(crate) outer: Option<usize>,
}

impl<'a> Scope<'a> {
    /// The states by name.
    pub(crate) fn states(&self) -> impl Iterator<Item = State<'a>> + use<'a> {
        fields(self.program, "States")
            .iter()
            .map(|(name, fields)| State { name, fields })
    }
}

impl Machine {
    /// All scopes, the machine's own first.
    pub(crate) fn scopes(&self) -> Vec<Scope<'_>> {
        let mut scopes = vec![Scope {
            program: &self.definition,
            outer: None,
        }];
        let mut place = 0;
        while place < scopes.len() {
            let branches: Vec<_> = scopes[place]
                .states()
                .flat_map(|state| list(state.fields, "Branches").chain(state.fields.get("ItemProcessor")))
                .collect();
            scopes.extend(branches.into_iter().map(|program| Scope {
                program,
                outer: Some(place),
            }));
            place += 1;
        }
        scopes
    }

    /// All states, of branches too.
    pub(crate) fn states(&self) -> Vec<State<'_>> {
        self.scopes().iter().flat_map(Scope::states).collect()
    }

    /// The states that call a function, each with that function's name.
    pub(crate) fn function_tasks(&self) -> Vec<(String, State<'_>)> {
        let states = self.states().into_iter();
        states
            .filter_map(|state| Some((state.function()?, state)))
            .collect()
    }

    /// The `${...}` of the definition, sorted.
    pub(crate) fn substitutions(&self) -> Vec<String> {
        let text = self.definition.to_string();
        let mut names: Vec<_> = text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A state.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its fields.
    pub(crate) fields: &'a Value,
}

impl<'a> State<'a> {
    /// `Type`.
    pub(crate) fn kind(&self) -> &'a str {
        self.fields["Type"].as_str().unwrap_or_default()
    }

    /// The names of the states that it leads to.
    pub(crate) fn leads_to(&self) -> Vec<&'a str> {
        let own = ["Next", "Default"].map(|field| self.fields[field].as_str());
        let rules = ["Choices", "Catch"].into_iter();
        let nested = rules.flat_map(|field| list(self.fields, field).map(|rule| rule["Next"].as_str()));
        own.into_iter().chain(nested).flatten().collect()
    }

    /// The name of the function that it calls: `label-node` for `${LabelNodeFunctionArn}`.
    pub(crate) fn function(&self) -> Option<String> {
        let text = self.fields["Arguments"]["FunctionName"].as_str()?;
        let name = text.strip_prefix("${")?.strip_suffix("FunctionArn}")?;
        let mut kebab = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.push(letter.to_ascii_lowercase());
        }
        Some(kebab)
    }

    /// The error names in its `Retry` or its `Catch`.
    pub(crate) fn errors(&self, field: &str) -> Vec<&'a str> {
        list(self.fields, field)
            .flat_map(|rule| list(rule, "ErrorEquals"))
            .filter_map(Value::as_str)
            .collect()
    }

    /// Its expressions, without those of its branches or items, each with its place, such as `Choices[0]/Condition`.
    pub(crate) fn expressions(&self) -> Vec<(String, &'a str)> {
        let mut found = Vec::new();
        for (field, value) in object(self.fields) {
            if !matches!(field.as_str(), "Branches" | "ItemProcessor") {
                expressions(value, field.clone(), &mut found);
            }
        }
        found
    }

    /// The variables that it assigns, in catchers and rules too, each with its place.
    pub(crate) fn assigned(&self) -> Vec<&'a str> {
        let nested = ["Choices", "Catch"]
            .into_iter()
            .flat_map(|field| list(self.fields, field));
        std::iter::once(self.fields)
            .chain(nested)
            .flat_map(|holder| fields(holder, "Assign").keys())
            .map(String::as_str)
            .collect()
    }
}

/// The expression in a text, without its brackets.
pub(crate) fn expression(text: &str) -> Option<&str> {
    Some(text.strip_prefix("{%")?.strip_suffix("%}")?.trim())
}

/// The expressions in a value, each with its place below that place, in the order of the fields.
pub(crate) fn expressions<'a>(value: &'a Value, place: String, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => found.extend(expression(text).map(|expression| (place, expression))),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                expressions(item, format!("{place}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                expressions(item, format!("{place}/{key}"), found);
            }
        }
        _ => {}
    }
}

static NO_FIELDS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or(&NO_FIELDS)
}

/// The fields of an object below a name; none where it is not there.
pub(crate) fn fields<'a>(value: &'a Value, name: &str) -> &'a Map<String, Value> {
    value.get(name).map_or(&NO_FIELDS, object)
}

/// The items of an array below a name; none where it is not there.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}
