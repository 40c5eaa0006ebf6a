# The commands in Python: a launcher each in libexec/tat, where `tat NAME' looks for tat-NAME. Installed, they run in an
# environment beside them, which setup-python makes; in the build tree in that of scripts/get-python.sh.
set(TAT_PYTHON_COMMANDS animate parquet plot sql)

# tat_launchers(FOLDER PACKAGE PYTHON SETUP)
function(tat_launchers folder package python setup)
  set(TAT_LAUNCHER_PACKAGE "${package}")
  set(TAT_LAUNCHER_PYTHON "${python}")
  set(TAT_LAUNCHER_SETUP "${setup}")
  foreach(command IN LISTS TAT_PYTHON_COMMANDS)
    configure_file(${PROJECT_SOURCE_DIR}/python/launcher.in ${folder}/tat-${command} @ONLY FILE_PERMISSIONS
      OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
endfunction()

tat_launchers(${PROJECT_BINARY_DIR}/libexec/tat "${PROJECT_SOURCE_DIR}/python"
  "$('${PROJECT_SOURCE_DIR}/scripts/get-python.sh' --print$kind)" "${PROJECT_SOURCE_DIR}/scripts/get-python.sh")
tat_launchers(${PROJECT_BINARY_DIR}/launchers "$here/python" "$here/env/bin/python3" "$here/setup-python")

install(DIRECTORY ${PROJECT_BINARY_DIR}/launchers/ DESTINATION libexec/tat USE_SOURCE_PERMISSIONS)
install(PROGRAMS python/setup-python DESTINATION libexec/tat)
install(FILES python/requirements.txt python/requirements-plot.txt DESTINATION libexec/tat/python)
install(DIRECTORY python/tat DESTINATION libexec/tat/python FILES_MATCHING PATTERN *.py PATTERN py.typed
  PATTERN __pycache__ EXCLUDE)
