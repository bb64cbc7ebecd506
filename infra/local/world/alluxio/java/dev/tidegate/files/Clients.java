package dev.tidegate.files;

import alluxio.client.block.policy.SpecificHostPolicy;
import alluxio.client.file.FileSystem;
import alluxio.client.file.FileSystemContext;
import alluxio.conf.Configuration;
import alluxio.conf.InstancedConfiguration;
import alluxio.conf.PropertyKey;
import alluxio.security.User;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
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

  /**
   * How long a worker that is to take a write is looked for in the client's list. A master tells that it is in service a
   * moment before it lists it, and a client that asked in between goes by that for
   * alluxio.user.worker.list.refresh.interval: a second here.
   */
  private static final long LISTED_WITHIN_MILLIS = 3_000;

  private static final long BETWEEN_LOOKS_MILLIS = 100;

  /** The context has the list of workers that the files' writes choose from. */
  private record Client(FileSystem files, FileSystemContext context) {}

  private final Map<String, Client> clients = new ConcurrentHashMap<>();

  FileSystem of(String user, String worker) throws InterruptedException {
    Client client = clients.computeIfAbsent(user + "@" + worker, key -> create(user, worker));
    if (!worker.isEmpty()) {
      awaitListed(client.context(), worker);
    }
    return client.files();
  }

  /** Returns all the same when it is not listed: the write says what is wrong. */
  private static void awaitListed(FileSystemContext context, String worker) throws InterruptedException {
    long ends = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(LISTED_WITHIN_MILLIS);
    while (!lists(context, worker) && System.nanoTime() < ends) {
      Thread.sleep(BETWEEN_LOOKS_MILLIS);
    }
  }

  private static boolean lists(FileSystemContext context, String worker) {
    try {
      return context.getCachedWorkers().stream()
          .anyMatch(listed -> listed.getNetAddress().getHost().equals(worker));
    } catch (IOException | RuntimeException e) {
      return true;
    }
  }

  private static Client create(String user, String worker) {
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
    FileSystemContext context = FileSystemContext.create(subject, configuration);
    return new Client(FileSystem.Factory.create(context), context);
  }
}
