# A thin front: CMake does the work, the scripts the set-up. BUILD names the build folder, CMAKE_FLAGS are given to CMake.
BUILD ?= build
PREFIX ?= /usr/local
export BUILD := $(abspath $(BUILD))
export CMAKE_FLAGS

.PHONY: all demo gallery test test-long bench install package format python-commands clean

all:
	@scripts/build.sh $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

demo:
	@scripts/demo.sh

gallery:
	@scripts/gallery.sh

test:
	@scripts/test.sh

test-long:
	@scripts/test.sh --long

bench: all
	@bench/run.sh
	@bench/analysis.sh
	@bench/pressure.sh
	@bench/optimise.sh

# WITH_PYTHON=no leaves out the packages that the commands in Python need, and so does DESTDIR: a package of tat has none.
# WITH_PYTHON=plot installs those for pictures and films only.
install: all
	@cmake --install $(BUILD)
ifneq ($(WITH_PYTHON),no)
ifeq ($(DESTDIR),)
	@$(PREFIX)/libexec/tat/setup-python $(filter plot,$(WITH_PYTHON))
endif
endif

package: all
	@cd $(BUILD) && cpack

format:
	@git ls-files '*.[ch]' | xargs clang-format -i

# What completions and man pages say of the commands in Python: after a change of their options.
python-commands:
	@PYTHONPATH=python $$(scripts/get-python.sh) scripts/python_commands.py > $(BUILD)/python_commands.inc
	@mv $(BUILD)/python_commands.inc src/cli/python_commands.inc

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-aarch64
