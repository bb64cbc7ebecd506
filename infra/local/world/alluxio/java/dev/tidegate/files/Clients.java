package dev.tidegate.files;

import alluxio.client.block.policy.SpecificHostPolicy;
import alluxio.client.file.FileSystem;
import alluxio.client.file.FileSystemContext;
import alluxio.conf.Configuration;
import alluxio.conf.InstancedConfiguration;
import alluxio.conf.PropertyKey;
import alluxio.security.User;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import javax.security.auth.Subject;

/**
 * Alluxio clients, one for each user and each worker that is to take the writes: the client reads the write policy once
 * for its whole life.
 */
final class Clients {
  /**
   * How long a reader looks for a lost block. Alluxio's own default is five minutes, during which a test would see
   * nothing but a request that hangs.
   */
  private static final String READ_RETRY = "8s";

  private final Map<String, FileSystem> clients = new ConcurrentHashMap<>();

  FileSystem of(String user, String worker) {
    return clients.computeIfAbsent(user + "@" + worker, key -> create(user, worker));
  }

  private static FileSystem create(String user, String worker) {
    InstancedConfiguration configuration = Configuration.copyGlobal();
    configuration.set(PropertyKey.USER_BLOCK_READ_RETRY_MAX_DURATION, READ_RETRY);
    // Reading must not change where blocks are: a copy made by a look would hide that a drain lost the only one.
    configuration.set(PropertyKey.USER_FILE_PASSIVE_CACHE_ENABLED, false);
    configuration.set(PropertyKey.SECURITY_LOGIN_USERNAME, user);
    if (!worker.isEmpty()) {
      configuration.set(
          PropertyKey.USER_BLOCK_WRITE_LOCATION_POLICY, SpecificHostPolicy.class.getName());
      configuration.set(PropertyKey.WORKER_HOSTNAME, worker);
    }
    Subject subject = new Subject();
    subject.getPrincipals().add(new User(user));
    return FileSystem.Factory.create(FileSystemContext.create(subject, configuration));
  }
}
