/* SPDX-License-Identifier: MIT
 *
 * tensor_names.txt of tensors in a split model, of none, and with a name of any bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/tensor_names.h"
#include "trace_builder.h"

static void model_file(struct trace_builder * b, uint64_t model, uint64_t part) {
    const uint64_t values[] = { ++b->n_files, model, part, 1 << 20, 0, 5, 6, 7, 8 };
    tb_event(b, TAT_EVENT_MODEL_FILE, 10, values, 9, "/model.gguf");
}

static void every_tensor_has_a_line(void ** state) {
    struct trace_builder b;
    struct tat_error error = { 0 };
    char * text = NULL;
    size_t size = 0;
    (void) state;
    tb_begin(&b);
    model_file(&b, 1, 0);
    model_file(&b, 2, 0);
    model_file(&b, 2, 1);
    tb_tensor(&b, (struct tb_tensor){ .name = "blk.3.attn_q.weight",
                                      .kind = TAT_TENSOR_WEIGHT,
                                      .memory = TAT_MEMORY_FILE,
                                      .ne = { 8, 4 },
                                      .file = 3,
                                      .file_offset = 4096 });
    tb_tensor(&b,
              (struct tb_tensor){
                  .name = "a\t\x1b[m\n\\\xff", .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 2 } });
    tb_end(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    assert_non_null(trace);
    FILE * out = open_memstream(&text, &size);
    assert_int_equal(tensor_names_write(trace, out, &error), 0);
    fclose(out);
    assert_string_equal(
        text, "id\tname\tmodel\tkind\tlayer\tcomponent\ttype\tshape\tfile\tfile_offset\tbytes\taddress\tpart\n"
              "0\tblk.3.attn_q.weight\t2\tweight\t3\tattn_q\tf32\t8x4x1x1\t3\t4096\t128\t0x10000\tmodel\n"
              "1\ta\\x09\\x1b[m\\x0a\\\\\\xff\t\tinput\t\t\tf32\t2x1x1x1\t\t\t8\t0x10000\t\n");
    free(text);
    tat_trace_close(trace);
    tb_free(&b);
}

static void a_full_disk_is_an_error(void ** state) {
    struct trace_builder b;
    struct tat_error error = { 0 };
    (void) state;
    tb_begin(&b);
    tb_end(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    FILE * out = fopen("/dev/full", "w");
    assert_int_equal(tensor_names_write(trace, out, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_SYSTEM);
    fclose(out);
    tat_trace_close(trace);
    tb_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_has_a_line),
        cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
