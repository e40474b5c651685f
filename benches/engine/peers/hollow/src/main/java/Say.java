import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Samples on the standard output, one line of JSON each, as the comparison reads them. */
final class Say {
    private final StringBuilder line = new StringBuilder();

    private Say(String figure) { line.append("{\"figure\":\"").append(figure).append('"'); }

    static Say figure(String figure) { return new Say(figure); }

    Say changes(int changes) {
        line.append(",\"changes\":").append(changes);
        return this;
    }

    Say threads(int threads) {
        line.append(",\"threads\":").append(threads);
        return this;
    }

    Say refreshes(String refreshes) {
        line.append(",\"refreshes\":\"").append(refreshes).append('"');
        return this;
    }

    void value(String unit, double value) {
        System.out.printf(Locale.ROOT, "%s,\"unit\":\"%s\",\"value\":%s}%n", line, unit, Double.toString(value));
        System.out.flush();
    }

    void median(String unit, List<Double> values) { value(unit, median(values)); }

    static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    static void note(String note) {
        System.out.println("{\"note\":\"" + note + "\"}");
        System.out.flush();
    }

    static void must(boolean ok, String what) {
        if (!ok) throw new AssertionError("not as the generator says: " + what);
    }

    static double seconds(long since) { return (System.nanoTime() - since) / 1e9; }
}
