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
pub use settings::{AddOn, JavaMemory, MasterSet, Settings};

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

/// So long a worker stays out of service after its clients have a new list of workers: `IdleLimitSeconds` by default, and
/// as long again for the last look at a full cache. No longer: a file that was written while it went out of service can
/// be saved, and read, only once it is back.
const UNTIL_CLIENTS_ARE_DONE_SECONDS: u32 = 360;

/// Objects that belong together, and are there before those of the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What a person calls it.
    pub name: &'static str,
    documents: Vec<Document>,
}

/// YAML of one or more objects.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Document {
    text: String,
    /// Whether the drift check compares the cluster with it. It looks after what joins and drains rest on, and has rights
    /// on just that. A master, a proxy or an add-on that somebody changes is seen by itself: a function that could write
    /// it could do as it likes in the cluster.
    recorded: bool,
}

impl Document {
    fn objects(&self) -> Result<Vec<Value>, Error> {
        serde_yaml_ng::Deserializer::from_str(&self.text)
            .map(|part| {
                Value::deserialize(part)
                    .map_err(|error| Error(format!("a rendered manifest is no YAML: {error}")))
            })
            .collect()
    }
}

impl Step {
    fn recorded(name: &'static str, texts: Vec<String>) -> Self {
        Self::of(name, texts, true)
    }

    fn beside(name: &'static str, texts: Vec<String>) -> Self {
        Self::of(name, texts, false)
    }

    fn of(name: &'static str, texts: Vec<String>, recorded: bool) -> Self {
        let document = |text| Document { text, recorded };
        Self {
            name,
            documents: texts.into_iter().map(document).collect(),
        }
    }

    /// Its objects, in the order in which they depend on each other.
    pub fn objects(&self) -> Result<Vec<Value>, Error> {
        let mut objects = Vec::new();
        for document in &self.documents {
            objects.extend(document.objects()?);
        }
        Ok(objects)
    }
}

/// Renders everything, step by step.
pub fn steps(settings: &Settings) -> Result<Vec<Step>, Error> {
    check(settings)?;
    let templates = Templates::of(settings)?;
    let plain = |template| templates.fill(template, context! {});
    let mut rights = vec![plain(template!("namespace"))?];
    let namespace = format!("\n  namespace: {}\n", settings.namespace);
    rights.extend(RBAC.map(|rules| rules.replace(RBAC_NAMESPACE, &namespace)));
    let mut steps = vec![
        Step::recorded("rights", rights),
        Step::recorded("fast-disks", vec![plain(template!("storage-class"))?]),
        Step::beside("standard", vec![plain(template!("standard-class"))?]),
        Step::recorded("local-volume-provisioner", vec![plain(template!("provisioner"))?]),
    ];
    for add_on in &settings.add_ons {
        steps.push(of_add_on(add_on, &templates)?);
    }
    steps.push(Step::recorded(
        "alluxio-config",
        vec![plain(template!("alluxio-config"))?],
    ));
    if let Some(set) = &settings.master_set {
        let masters = of_masters(set, &settings.namespace, &templates)?;
        steps.push(Step::beside("alluxio-masters", vec![masters]));
    }
    let mut workers = vec![plain(template!("drain-rate"))?];
    for layout in &settings.layouts {
        workers.push(templates.fill(WORKER, context! { layout => Filled::from(Serde(layout)) })?);
    }
    steps.push(Step::recorded("alluxio-workers", workers));
    if settings.proxy_replicas > 0 {
        let proxy = context! { replicas => settings.proxy_replicas, memory => memory(settings.proxy) };
        let proxy = templates.fill(template!("alluxio-proxy"), context! { proxy })?;
        steps.push(Step::beside("alluxio-proxy", vec![proxy]));
    }
    let mut objects = Vec::new();
    for document in steps.iter().flat_map(|step| &step.documents) {
        if document.recorded {
            objects.extend(document.objects()?);
        }
    }
    steps.push(Step::beside("record", vec![record::of(&objects)]));
    Ok(steps)
}

fn of_masters(set: &MasterSet, namespace: &str, templates: &Templates) -> Result<String, Error> {
    let master = context! {
        replicas => set.replicas,
        journal_addresses => set.journal_addresses(namespace),
        memory => memory(set.memory),
        journal_gib => set.journal_gib,
        metastore_gib => set.metastore_gib,
    };
    let masters = context! {
        master,
        job_master => memory(set.job_master),
        root_ufs => &set.root_ufs,
    };
    templates.fill(template!("alluxio-masters"), masters)
}

fn of_add_on(add_on: &AddOn, templates: &Templates) -> Result<Step, Error> {
    Ok(match add_on {
        AddOn::MetricsServer { image } => {
            let further = context! { metrics_server_image => image };
            let text = templates.fill(template!("metrics-server"), further)?;
            Step::beside(AddOn::METRICS_SERVER, vec![text])
        }
        AddOn::ClusterAutoscaler {
            image,
            cluster_name,
            region,
        } => {
            let further = context! { cluster_autoscaler_image => image, cluster_name, region };
            let text = templates.fill(template!("cluster-autoscaler"), further)?;
            Step::beside(AddOn::CLUSTER_AUTOSCALER, vec![text])
        }
    })
}

/// Renders everything as one stream of YAML documents for `kubectl apply -f -`.
pub fn render(settings: &Settings) -> Result<String, Error> {
    let mut stream = String::new();
    for document in steps(settings)?.iter().flat_map(|step| &step.documents) {
        stream.push_str("---\n");
        stream.push_str(document.text.trim_end());
        stream.push('\n');
    }
    Ok(stream)
}

/// Fills templates in with what is the same for all.
struct Templates {
    environment: Environment<'static>,
    common: Filled,
}

impl Templates {
    fn of(settings: &Settings) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // A name that a template misspells is an error, not an empty place.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let properties = settings.all_properties()?;
        let common = context! {
            namespace => &settings.namespace,
            alluxio_image => &settings.alluxio_image,
            alluxio_role_arn => &settings.alluxio_role_arn,
            provisioner_image => &settings.provisioner_image,
            out_of_service_seconds => settings.worker_list_refresh_seconds + UNTIL_CLIENTS_ARE_DONE_SECONDS,
            properties => Filled::from(Serde(&properties)),
            worker => memory(settings.worker),
            job_worker => memory(settings.job_worker),
            under_store_directory => settings.master_set.as_ref().and_then(MasterSet::directory),
        };
        Ok(Self { environment, common })
    }

    fn fill(&self, template: &str, further: Filled) -> Result<String, Error> {
        self.environment
            .render_str(template, context! { ..further, ..self.common.clone() })
            .map_err(|error| Error(format!("the manifests cannot be rendered: {error:#}")))
    }
}

fn memory(of: JavaMemory) -> Filled {
    context! { heap_mib => of.heap_mib, direct_mib => of.direct_mib, limit_mib => of.limit_mib() }
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.layouts.is_empty() {
        return Err(Error("no disk layout is named: no worker would ever run".into()));
    }
    for (index, layout) in settings.layouts.iter().enumerate() {
        if settings.layouts[..index]
            .iter()
            .any(|other| other.name == layout.name)
        {
            return Err(Error(format!("disk layout {} is named twice", layout.name)));
        }
    }
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let namespace = &settings.namespace;
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(in_name) {
        return Err(Error(format!("namespace {namespace:?} is not a Kubernetes name")));
    }
    if let Some(role) = &settings.alluxio_role_arn {
        let in_arn = |c: char| c.is_ascii_alphanumeric() || ":/+=,.@_-".contains(c);
        if !(role.starts_with("arn:") && role.contains(":role/") && role.chars().all(in_arn)) {
            return Err(Error(format!(
                "Alluxio's role {role:?} is not the ARN of an IAM role"
            )));
        }
    }
    for (index, add_on) in settings.add_ons.iter().enumerate() {
        add_on.check()?;
        let same = |other: &AddOn| std::mem::discriminant(other) == std::mem::discriminant(add_on);
        if settings.add_ons[..index].iter().any(same) {
            return Err(Error(format!(
                "the add-on of image {} is named twice",
                add_on.image()
            )));
        }
    }
    let images = [settings.alluxio_image.as_str(), &settings.provisioner_image];
    for image in images
        .into_iter()
        .chain(settings.add_ons.iter().map(AddOn::image))
    {
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
