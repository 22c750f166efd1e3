# `cmake --install build/release --prefix X`: the program (src/app says so), and the tables and recipes in X/share/boreal.
# A recipe finds its tables from the folder it is started in, so run the shipped ones there, with --out elsewhere.

include(GNUInstallDirs)
set(BOREAL_SHARE ${CMAKE_INSTALL_DATADIR}/boreal)
foreach(folder data recipes)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${folder})
    install(DIRECTORY ${folder}/ DESTINATION ${BOREAL_SHARE}/${folder})
  endif()
endforeach()
install(FILES LICENSE CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR})
