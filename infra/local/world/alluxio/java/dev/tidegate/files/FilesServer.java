package dev.tidegate.files;

import com.google.gson.Gson;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;

/**
 * A loopback HTTP front for the real Alluxio client, for programs that are not Java: tests, the demo, benchmarks.
 * A JVM for each command would cost two seconds; here a file takes milliseconds.
 *
 * <p>Every answer is a JSON object; an error has {@code error} (a word) and {@code message}, and a status that fits.
 *
 * <pre>
 * POST   /files?path=&amp;writeType=&amp;worker=&amp;bytes=&amp;seed=&amp;blockBytes=&amp;user=   writes a whole file: sha256, bytes
 * POST   /files/fill?path=&amp;count=&amp;bytes=&amp;threads=&amp;writeType=&amp;worker=&amp;user=  many files path/0 .. path/count-1: files, seconds
 * POST   /files/open?path=&amp;writeType=&amp;worker=&amp;user=                         begins a file and leaves it open: id
 * POST   /files/write?id=&amp;bytes=&amp;seed=                                      adds to an open file and flushes: bytes
 * POST   /files/close?id=    POST /files/cancel?id=                         ends it: sha256, bytes
 * POST   /files/mkdir?path=&amp;mode=&amp;user=
 * POST   /files/persist?path= asks for it, and does not wait
 * POST   /files/free?path=    drops the cached copies of persisted files
 * GET    /files/checksum?path=&amp;timeoutSeconds=&amp;user=                       reads it all through Alluxio: sha256, bytes
 * POST   /files/read/open?path=   POST /files/read/next?id=&amp;bytes=   POST /files/read/close?id=   a reader that stands still
 * GET    /files/status?path=      GET /files/list?path=
 * DELETE /files?path=&amp;alluxioOnly=
 * GET    /workers?range=LIVE|LOST|DECOMMISSIONED|ALL    GET /workers/lost-storage
 * POST   /workers/decommission?host=&amp;webPort=         so that it may register again
 * GET    /healthz
 * </pre>
 *
 * <p>Arguments: the port file, which gets the chosen port once requests are served.
 */
public final class FilesServer {
  private static final Gson GSON = new Gson();

  private FilesServer() {}

  /** What a route does with the parameters of a request; the result becomes the JSON answer. */
  interface Route {
    Map<String, ?> answer(Parameters parameters) throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    Clients clients = new Clients();
    WholeFiles files = new WholeFiles(clients);
    OpenStreams streams = new OpenStreams(clients);
    Workers workers = new Workers();
    Map<String, Route> routes = new LinkedHashMap<>();
    routes.put("GET /healthz", p -> Map.of("ok", true));
    routes.put("POST /files", files::write);
    routes.put("DELETE /files", files::delete);
    routes.put("POST /files/fill", files::fill);
    routes.put("POST /files/mkdir", files::makeDirectory);
    routes.put("POST /files/persist", files::persist);
    routes.put("POST /files/free", files::free);
    routes.put("GET /files/checksum", files::checksum);
    routes.put("GET /files/status", files::status);
    routes.put("GET /files/list", files::list);
    routes.put("GET /workers", workers::report);
    routes.put("GET /workers/lost-storage", workers::lostStorage);
    routes.put("POST /workers/decommission", workers::decommission);
    routes.put("POST /files/open", streams::openWriter);
    routes.put("POST /files/write", streams::write);
    routes.put("POST /files/close", streams::closeWriter);
    routes.put("POST /files/cancel", streams::cancelWriter);
    routes.put("POST /files/read/open", streams::openReader);
    routes.put("POST /files/read/next", streams::read);
    routes.put("POST /files/read/close", streams::closeReader);

    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 64);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", exchange -> serve(exchange, routes));
    server.start();
    PortFile.write(arguments[0], server.getAddress().getPort());
  }

  private static void serve(HttpExchange exchange, Map<String, Route> routes) throws IOException {
    String path = exchange.getRequestURI().getPath();
    Route route = routes.get(exchange.getRequestMethod() + " " + path);
    int status = 200;
    Map<String, ?> answer;
    try {
      exchange.getRequestBody().readAllBytes();
      if (route == null) {
        status = 404;
        answer = Map.of("error", "no-such-route", "message", exchange.getRequestMethod() + " " + path);
      } else {
        answer = route.answer(Parameters.of(exchange.getRequestURI()));
      }
    } catch (Throwable e) {
      Failure failure = Failure.of(e);
      status = failure.status;
      answer = Map.of("error", failure.word, "message", failure.message);
    }
    byte[] body = GSON.toJson(answer).getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }
}
