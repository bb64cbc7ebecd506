//! The Kubernetes manifests of a cluster: the templates of `infra/kubernetes`, filled in, and the functions' RBAC.
//!
//! Quotas and claims come from [`tidegate_domain::disks`], by which the functions judge what they find.

mod layout;
mod record;
mod settings;

use minijinja::value::{Serde, Value as Filled};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

pub use layout::{Layout, Tier};
pub use settings::{JavaMemory, Settings};

/// What is wrong with the settings, in a sentence for the person who wrote them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Error(pub(crate) String);

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../../infra/kubernetes/", $name, ".yaml.j2"))
    };
}

/// For each disk layout.
const WORKER: &str = template!("alluxio-worker");

macro_rules! rbac {
    ($function:literal) => {
        include_str!(concat!("../../../", $function, "/rbac.yaml"))
    };
}

/// The rights of each function that talks to Kubernetes, as they stand beside it.
const RBAC: [&str; 9] = [
    rbac!("check-drift"),
    rbac!("label-node"),
    rbac!("provision-volumes"),
    rbac!("schedule-worker"),
    rbac!("cordon-node"),
    rbac!("evict-pods"),
    rbac!("drain-cache"),
    rbac!("retire-worker"),
    rbac!("choose-victims"),
];
/// The namespace that the files in [`RBAC`] name.
const RBAC_NAMESPACE: &str = "\n  namespace: alluxio\n";

/// Objects that belong together, and are there before those of the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What a person calls it.
    pub name: &'static str,
    /// YAML, each of one or more documents.
    documents: Vec<String>,
}

impl Step {
    /// Its objects, in the order in which they depend on each other.
    pub fn objects(&self) -> Result<Vec<Value>, Error> {
        let mut objects = Vec::new();
        for document in &self.documents {
            for part in serde_yaml_ng::Deserializer::from_str(document) {
                let object = Value::deserialize(part)
                    .map_err(|error| Error(format!("a rendered manifest is no YAML: {error}")))?;
                objects.push(object);
            }
        }
        Ok(objects)
    }
}

/// Renders everything, step by step.
pub fn steps(settings: &Settings) -> Result<Vec<Step>, Error> {
    check(settings)?;
    let template = Template::of(settings)?;
    let mut rights = vec![template.fill(template!("namespace"), None)?];
    let namespace = format!("\n  namespace: {}\n", settings.namespace);
    rights.extend(RBAC.map(|rules| rules.replace(RBAC_NAMESPACE, &namespace)));
    let mut alluxio = vec![
        template.fill(template!("alluxio-config"), None)?,
        template.fill(template!("drain-rate"), None)?,
    ];
    for layout in &settings.layouts {
        alluxio.push(template.fill(WORKER, Some(layout))?);
    }
    let step = |name, documents| Step { name, documents };
    let mut steps = vec![
        step("rights", rights),
        step(
            "storage-classes",
            vec![template.fill(template!("storage-class"), None)?],
        ),
        step(
            "local-volume-provisioner",
            vec![template.fill(template!("provisioner"), None)?],
        ),
        step("alluxio", alluxio),
    ];
    let mut objects = Vec::new();
    for step in &steps {
        objects.extend(step.objects()?);
    }
    steps.push(step("record", vec![record::of(&objects)]));
    Ok(steps)
}

/// Renders everything as one stream of YAML documents for `kubectl apply -f -`.
pub fn render(settings: &Settings) -> Result<String, Error> {
    let mut stream = String::new();
    for document in steps(settings)?.iter().flat_map(|step| &step.documents) {
        stream.push_str("---\n");
        stream.push_str(document.trim_end());
        stream.push('\n');
    }
    Ok(stream)
}

/// What the templates are filled with.
struct Template<'a> {
    settings: &'a Settings,
    properties: Vec<(String, String)>,
}

impl<'a> Template<'a> {
    fn of(settings: &'a Settings) -> Result<Self, Error> {
        let properties = settings.all_properties()?;
        Ok(Self { settings, properties })
    }

    fn fill(&self, template: &str, layout: Option<&Layout>) -> Result<String, Error> {
        let memory = |of: JavaMemory| {
            context! { heap_mib => of.heap_mib, direct_mib => of.direct_mib, limit_mib => of.limit_mib() }
        };
        let mut environment = Environment::new();
        // A name that a template misspells is an error, not an empty place.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .render_str(
                template,
                context! {
                    namespace => &self.settings.namespace,
                    alluxio_image => &self.settings.alluxio_image,
                    provisioner_image => &self.settings.provisioner_image,
                    properties => Filled::from(Serde(&self.properties)),
                    worker => memory(self.settings.worker),
                    job_worker => memory(self.settings.job_worker),
                    layout => layout.map(|layout| Filled::from(Serde(layout))),
                },
            )
            .map_err(|error| Error(format!("the manifests cannot be rendered: {error:#}")))
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.layouts.is_empty() {
        return Err(Error("no disk layout is named: no worker would ever run".into()));
    }
    for (index, layout) in settings.layouts.iter().enumerate() {
        if settings.layouts[..index].contains(layout) {
            return Err(Error(format!("disk layout {} is named twice", layout.name)));
        }
    }
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let namespace = &settings.namespace;
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(in_name) {
        return Err(Error(format!("namespace {namespace:?} is not a Kubernetes name")));
    }
    for image in [&settings.alluxio_image, &settings.provisioner_image] {
        if image.is_empty()
            || !image
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "./:@_-".contains(c))
        {
            return Err(Error(format!("image {image:?} is not the name of an image")));
        }
    }
    Ok(())
}
